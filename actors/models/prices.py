"""What tokens cost. Pure.

The platform prices tokens itself, from the rates as they were when the run was launched; what an
agent says it has cost counts only where no rate is known, for an agent runs what others wrote.
"""

from typing import Literal, TypeAlias

import msgspec

PricingStatus: TypeAlias = Literal["priced", "partial", "unpriced"]


class Cost(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """US dollars per million tokens; an absent rate is unknown, not free."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
