"""What a run has cost: its tokens, priced by the rates of its launch. Pure.

The platform counts for itself. What a run says it has cost is believed only where its model has no
rates, and is called unpriced then: the program of a run obeys a model, and a bill must not.
"""

import msgspec

from actors.models import Cost, PricingStatus
from actors.runs.events import Usage

MILLION = 1_000_000


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens so far, their price in US dollars, and how much of it is known."""

    usage: Usage
    cost: float
    status: PricingStatus


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has used and cost so far, every row of the ledger counted."""

    usage: Usage
    cost: float
    status: PricingStatus | None


def price(usage: Usage, rates: Cost | None, told: float | None) -> Charge:
    """Price tokens. `told` is what the run says they cost.

    `partial` are tokens of a kind without a rate beside others with one; they count as nothing.
    """
    known = rates or Cost()
    buckets = (
        (usage.input_tokens, known.input),
        (usage.output_tokens, known.output),
        (usage.cache_read_input_tokens, known.cache_read),
        (usage.cache_creation_input_tokens, known.cache_write),
    )
    if all(rate is None for _, rate in buckets):
        return Charge(usage=usage, cost=told or 0.0, status="unpriced")
    cost = sum(tokens * rate for tokens, rate in buckets if rate is not None) / MILLION
    missing = any(tokens and rate is None for tokens, rate in buckets)
    return Charge(usage=usage, cost=cost, status="partial" if missing else "priced")
