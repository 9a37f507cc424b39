"""Runs that are executed elsewhere and recorded here."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.contract import Resource, spell
from actors.ids import RunId
from actors.runs.admission import Admission
from actors.runs.plan import RunPlan
from actors.runs.records import RunRecords
from actors.runtime import Actor, Lane, NotFound, Rejected, Request


class RemoteLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long the sink of a remote run stays open, in seconds."""

    default_ttl: int = 7200
    most_ttl: int = 86_400


class RemoteSink(Resource, frozen=True, kw_only=True, rename=spell):
    """Where a remote run sends its events, and the secret it signs them with, told once."""

    id: RunId
    url: str
    finalize_url: str
    secret: str
    expires_at: datetime


class Extended(Resource, frozen=True, kw_only=True, rename=spell):
    """Until when a sink is open."""

    id: RunId
    expires_at: datetime


class OpenRemote(Request["RemoteRuns", RemoteSink], frozen=True, kw_only=True):
    """Insert a planned run that is executed elsewhere; it is pending until its first event.

    Its sink stays open for `ttl` seconds, by default as long as the platform says.
    """

    plan: RunPlan
    ttl: int | None = None


class ExtendSink(Request["RemoteRuns", Extended], frozen=True, kw_only=True):
    """Keep the sink of a run open for `ttl` seconds from now; `run_sink_closed` once it ended."""

    caller: Caller
    run: RunId
    ttl: int


RemoteRunsMessage: TypeAlias = OpenRemote | ExtendSink


class RemoteRuns(Actor):
    """Opens and extends the sinks of runs that are executed elsewhere; RunSink serves them."""

    lanes = (Lane("remote", 16, limit=1000),)

    def __init__(
        self,
        records: RunRecords,
        admission: Admission,
        limits: RemoteLimits,
        url: str,
    ) -> None:
        super().__init__()
        self._records = records
        self._admission = admission
        self._limits = limits
        self._url = url

    async def receive(self, message: RemoteRunsMessage) -> Any:
        match message:
            case OpenRemote():
                return await self._open(message.plan, message.ttl)
            case ExtendSink():
                return await self._extend(message)
            case _:
                assert_never(message)

    async def _open(self, plan: RunPlan, ttl: int | None) -> RemoteSink:
        expires = self._expiry(self._limits.default_ttl if ttl is None else ttl, "sink.ttl_seconds")
        run, secret = await self._admission.admit(plan, expires, "run created · executed elsewhere")
        events = f"{self._url}/api/runs/{run.id}/events"
        return RemoteSink(
            id=run.id,
            url=events,
            finalize_url=f"{events}/finalize",
            secret=secret,
            expires_at=expires,
        )

    async def _extend(self, message: ExtendSink) -> Extended:
        expires = self._expiry(message.ttl, "ttl_seconds")
        tenant, run = message.caller.tenant, message.run
        found = await self._records.run(*tenant, run)
        if found is None or not message.caller.sees(found.end_user_id):
            raise NotFound("there is no such run")
        if not await self._records.extend(*tenant, run, expires):
            raise Rejected("the run has ended: its event sink is closed", code="run_sink_closed")
        return Extended(id=run, expires_at=expires)

    def _expiry(self, ttl: int, field: str) -> datetime:
        if not 1 <= ttl <= self._limits.most_ttl:
            what = f"{field} must be from 1 to {self._limits.most_ttl} seconds"
            raise Rejected(what, code="validation_failed", param=field)
        return datetime.now(UTC) + timedelta(seconds=ttl)
