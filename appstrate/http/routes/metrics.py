"""What the server counts about itself, for machines and for the platform's administrators."""

import hmac
import time
from collections.abc import Iterator

from aiohttp import web

from actors.addresses import Addresses, every_address
from actors.contract import Resource, spell
from actors.runtime import AskError, Refusal, Rejected
from actors.runtime.address import State
from actors.statistics import CountWork, WorkCounts
from appstrate.http.call import Call, Media, Page, Routes, Scope, page
from appstrate.http.client import is_local
from appstrate.http.metrics import (
    CONTENT_TYPE,
    REQUESTS,
    LoopLag,
    actor_families,
    family,
    process_families,
)

COUNT_SECONDS = 2.0


class ActorState(Resource, frozen=True, kw_only=True, rename=spell):
    """One actor of this server: its state, its mailbox, and what it has done since the start.

    Times are sums, in seconds.
    """

    name: str
    state: State
    reason: str | None
    waiting: int
    high_water: int
    served: int
    refused: int
    failed: int
    rejected: int
    expired: int
    dead_letters: int
    restarts: int
    wait_seconds: float
    serve_seconds: float


def metrics_routes(token: str | None, lag: LoopLag) -> Routes:
    """`/metrics`, for this machine and for whoever has the token; and the actors."""
    routes = Routes()
    began = time.time()

    @routes.add("GET", "/metrics", Scope.PUBLIC, answer=Media("text/plain"))
    async def metrics(call: Call) -> web.Response:
        """Everything that is counted, in the text format of Prometheus."""
        if not is_local(call.request):
            _check(call.request, token)
        parts = [*call.request.app[REQUESTS].families(), *actor_families(every_address(call.at))]
        parts += [*_work(await _count(call.at)), *process_families(began)]
        parts.append(lag.family())
        return web.Response(body="".join(parts).encode(), headers={"Content-Type": CONTENT_TYPE})

    @routes.add("GET", "/api/admin/actors", Scope.PLATFORM)
    async def list_actors(call: Call) -> Page[ActorState]:
        """The actors of the server that answers, in the order they were started."""
        return page(
            [
                ActorState(
                    name=each.name,
                    state=each.state,
                    reason=each.reason,
                    **{f: getattr(each.metrics, f) for f in COUNTED},
                )
                for each in every_address(call.at)
            ]
        )

    return routes


COUNTED = [name for name in ActorState.__struct_fields__ if name not in ("name", "state", "reason")]


def _check(request: web.Request, token: str | None) -> None:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    fits = hmac.compare_digest(given.strip().encode(), (token or "").encode())
    if token is None or kind.lower() != "bearer" or not fits:
        raise Rejected(
            "metrics are for this machine, asked as localhost or 127.0.0.1 and past any proxy, and "
            "for `Authorization: Bearer` with METRICS_TOKEN",
            code="unauthorized",
        )


async def _count(at: Addresses) -> WorkCounts | None:
    try:
        return await at.statistics.ask(CountWork(), within=COUNT_SECONDS)
    except (Refusal, AskError):  # what else is known is told all the same
        return None


def _work(counts: WorkCounts | None) -> Iterator[str]:
    if counts is None:
        return
    rows = counts.rows
    runs = (({"status": status}, number) for status, number in rows.runs.items())
    yield family("runs", "gauge", "Runs that have not ended.", runs)
    ended = (({"status": status}, number) for status, number in counts.ended.items())
    yield family("runs_ended_total", "counter", "Runs this server has ended.", ended)
    jobs = (
        ({"topic": each.topic, "state": state}, getattr(each, state))
        for each in rows.jobs
        for state in ("waiting", "held", "later", "dead")
    )
    told = "Jobs that are due, being carried out, due later, and given up."
    yield family("jobs", "gauge", told, jobs)
    told = "How long the oldest due time of a schedule has waited."
    yield family("schedule_lag_seconds", "gauge", told, [({}, rows.schedule_lag)])
