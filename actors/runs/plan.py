"""The plan of a run: all that is decided at launch, so that executing it asks nobody anything."""

from typing import Any

import msgspec

from actors.ids import ApiKeyId, ApplicationId, OrgId, PackageId, RunId, UserId
from actors.models import ChosenModel
from actors.packages import AgentDefinition


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be admitted. It holds no secret, and is kept in the database until the run ends.

    `prompt` is the complete rendered prompt; `timeout` is the agent's budget in seconds.
    """

    run: RunId
    org: OrgId
    application: ApplicationId
    user: UserId
    api_key: ApiKeyId | None
    agent: AgentDefinition
    input: dict[str, Any]
    prompt: str
    model: ChosenModel
    timeout: float
    output_schema: dict[str, Any] | None
    runtime_tools: list[str]
    runner_name: str | None = None
    runner_kind: str | None = None

    @property
    def package(self) -> PackageId:
        """The agent's package."""
        return self.agent.package
