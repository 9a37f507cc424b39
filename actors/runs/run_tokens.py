"""Lets programs of runs in by a token of their run: to its model, its memory, the internet."""

from typing import Any, TypeAlias, assert_never

import msgspec

from actors.ids import OrgId, RunId
from actors.models import ChosenModel
from actors.persistence import Viewer
from actors.runs.records import RunRecords
from actors.runs.signing import RunSecrets
from actors.runtime import Actor, Lane, NotFound, Rejected, Request


class ModelRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's model calls go: to whose model, with what input for a script."""

    run: RunId
    org: OrgId
    model: ChosenModel
    script: Any
    input: dict[str, Any]


class AuthorizeModelCall(Request["RunTokens", ModelRoute], frozen=True, kw_only=True):
    """Turn a run's bearer token into its model; refuses when the run has ended."""

    token: str


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A running run, and as whom it looks at what its agent keeps."""

    run: RunId
    viewer: Viewer


class IdentifyRun(Request["RunTokens", RunIdentity], frozen=True, kw_only=True):
    """Turn a run's bearer token into the run, and as whom it looks at what its agent keeps.

    Refuses with `forbidden` when the run is not running.
    """

    token: str


class AuthorizeEgress(Request["RunTokens", None], frozen=True, kw_only=True):
    """Refuse a run's password for the forward proxy when it is wrong, or the run has ended."""

    run: RunId
    token: str


RunTokensMessage: TypeAlias = AuthorizeModelCall | IdentifyRun | AuthorizeEgress


class RunTokens(Actor):
    """Turns what a run presents into the run. Any instance may serve any run."""

    lanes = (Lane("doors", 64, limit=10_000),)

    def __init__(self, records: RunRecords, secrets: RunSecrets) -> None:
        super().__init__()
        self._records = records
        self._secrets = secrets

    async def receive(self, message: RunTokensMessage) -> Any:
        match message:
            case AuthorizeModelCall():
                return await self._model_route(message.token)
            case IdentifyRun():
                return await self._identify(message.token)
            case AuthorizeEgress():
                return await self._authorize_egress(message)
            case _:
                assert_never(message)

    async def _model_route(self, token: str) -> ModelRoute:
        run = self._secrets.run_of(token)
        plan = await self._records.plan(run)
        if plan is None or plan.model is None:
            raise Rejected("the run has ended", code="unauthorized")
        meta = plan.agent.manifest.get("_meta", {})
        return ModelRoute(
            run=run,
            org=plan.org,
            model=plan.model,
            script=meta.get("dev.appstrate/demo"),
            input=plan.input,
        )

    async def _identify(self, token: str) -> RunIdentity:
        run = self._secrets.run_of(token)
        found = await self._records.viewer(run)
        if found is None:
            raise NotFound("there is no such run, or its agent is gone")
        status, viewer = found
        if status != "running":
            raise Rejected(f"the run is not running: it is {status}", code="forbidden")
        return RunIdentity(run=run, viewer=viewer)

    async def _authorize_egress(self, message: AuthorizeEgress) -> None:
        self._secrets.check_egress(message.run, message.token)
        facts = await self._records.facts(message.run)
        if facts is None or facts.closed:
            raise Rejected("the run has ended", code="unauthorized")
