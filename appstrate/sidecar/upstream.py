"""Where a run's model calls go, as the proxy needs to know it."""

from typing import Any, Protocol

import msgspec

from actors.ids import RunId
from actors.models import DEMO, Credentials, OpenModel
from actors.runs import AuthorizeModelCall, ModelCall, NoteModelCall, RunEvidence, RunTokens
from actors.runtime import Address
from appstrate.sidecar.alias import Alias


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """The model behind a run's token. With `demo`, the platform answers itself."""

    base_url: str
    api_key: str
    run: RunId = RunId("")
    alias: Alias | None = None
    demo: bool = False
    script: Any = None
    input: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class Upstreams(Protocol):
    """Finds upstreams."""

    async def find(self, token: str) -> Upstream:
        """The upstream of the run this token belongs to; refuses any other token."""
        ...

    def note(self, run: RunId, call: ModelCall) -> None:
        """Keep that a run asks its model, and once more how that ended."""
        ...


class LocalUpstreams:
    """Upstreams of a proxy that lives inside the server: it asks the actors."""

    def __init__(
        self,
        run_tokens: Address[RunTokens],
        credentials: Address[Credentials],
        evidence: Address[RunEvidence],
    ) -> None:
        self._run_tokens = run_tokens
        self._credentials = credentials
        self._evidence = evidence

    async def find(self, token: str) -> Upstream:
        route = await self._run_tokens.ask(AuthorizeModelCall(token=token))
        model = route.model
        if model.provider_id == DEMO:
            return Upstream(
                base_url="",
                api_key="",
                run=route.run,
                demo=True,
                script=route.script,
                input=route.input,
            )
        opening = OpenModel(org=route.org, credential=model.credential_id)
        access = await self._credentials.ask(opening)
        alias = Alias(public=model.public_id, real=model.model_id) if model.aliased else None
        return Upstream(
            base_url=access.base_url, api_key=access.api_key, run=route.run, alias=alias
        )

    def note(self, run: RunId, call: ModelCall) -> None:
        self._evidence.tell(NoteModelCall(run=run, call=call))
