"""How often each route may be used, by whom, and the headers that say so.

Every use counts, whatever becomes of it. Who is signed in, or has a key, is counted by that;
everybody else by the address of their machine.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import web

from actors.accounts import Caller
from actors.addresses import Addresses
from actors.limiter import Allowance, Rule, TakeTurn
from appstrate.http.client import client_key

FACTOR: web.AppKey[int] = web.AppKey("rate_limit_factor", int)
ALLOWANCE: web.RequestKey[tuple[Rule, Allowance]] = web.RequestKey("allowance", tuple)


@dataclass(frozen=True, slots=True)
class Limit:
    """`uses` per `seconds` and identity. `setting` names it where an operator may change it."""

    uses: int
    seconds: int = 60
    setting: str | None = None

    def __str__(self) -> str:
        span = "minute" if self.seconds == 60 else f"{self.seconds} seconds"
        return f"{self.uses} requests per {span}"

    def as_set(self, rates: Mapping[str, int]) -> "Limit":
        """The limit as an operator has set it, by the name of its setting."""
        return replace(self, uses=rates.get(self.setting or "", self.uses))

    def rule(self, name: str, factor: int) -> Rule:
        """The rule for what has this name."""
        return Rule(name=name, limit=self.uses * factor, seconds=self.seconds)


async def take_turn(at: Addresses, request: web.Request, rule: Rule, caller: Caller | None) -> None:
    """Use a route, or be refused with `rate_limited`; the answer tells what is left."""
    taken = await at.limiter.ask(TakeTurn(rule=rule, key=_identity(request, caller)))
    request[ALLOWANCE] = (rule, taken)
    taken.check("too many requests")


async def take_turn_as(
    at: Addresses, request: web.Request, limit: Limit, of: tuple[str, str]
) -> None:
    """Use something else that is limited: `of` is what it is, and who or what counts."""
    name, key = of
    rule = limit.rule(name, request.app[FACTOR])
    taken = await at.limiter.ask(TakeTurn(rule=rule, key=key))
    if not taken.allowed:
        request[ALLOWANCE] = (rule, taken)
    taken.check("too many requests")


def sign_allowance(request: web.Request, response: web.StreamResponse) -> None:
    """Tell what is left of a limit, on the answers of the routes that have one."""
    found = request.get(ALLOWANCE)
    if found is None:
        return
    rule, taken = found
    response.headers["RateLimit"] = (
        f"limit={taken.limit}, remaining={taken.remaining}, reset={math.ceil(taken.reset)}"
    )
    response.headers["RateLimit-Policy"] = f"{rule.limit};w={rule.seconds}"


def _identity(request: web.Request, caller: Caller | None) -> str:
    if caller is None:
        return f"address {client_key(request)}"
    if caller.api_key is not None:
        return f"key {caller.api_key}"
    return f"user {caller.user}"
