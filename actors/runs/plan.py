"""The plan of a run: all that is decided at launch, so that executing it asks nobody anything."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from actors.files import InputFile
from actors.ids import (
    ApiKeyId,
    ApplicationId,
    EndUserId,
    OrgId,
    PackageId,
    RunId,
    ScheduleId,
    UserId,
)
from actors.models import ChosenModel, Generation
from actors.packages import AgentDefinition


class ScheduledFire(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule a run comes of, and its due time: at most one run comes of that.

    Without a due time somebody launched it by hand.
    """

    schedule: ScheduleId
    due_at: datetime | None = None


class InlineAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that came with its launch, as it came; it is no package."""

    manifest: dict[str, Any]
    prompt: str


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be admitted. It holds no secret, and is kept in the database until the run ends.

    `prompt` is the complete rendered prompt; `timeout` is the agent's budget in seconds. A run that
    is executed elsewhere has no `model`. It is for a user or for an end user.
    """

    run: RunId
    org: OrgId
    application: ApplicationId
    user: UserId | None
    end_user: EndUserId | None = None
    api_key: ApiKeyId | None
    agent: AgentDefinition
    input: dict[str, Any]
    prompt: str
    model: ChosenModel | None
    timeout: float
    output_schema: dict[str, Any] | None
    runtime_tools: list[str]
    runner_name: str | None = None
    runner_kind: str | None = None
    generation_override: Generation | None = None
    connection_overrides: dict[str, str] | None = None
    dependency_overrides: dict[str, str] | None = None
    inline: InlineAgent | None = None
    fire: ScheduledFire | None = None
    files: list[InputFile] = msgspec.field(default_factory=list[InputFile])
    origin: Literal["platform", "remote"] = "platform"
    context_snapshot: dict[str, Any] | None = None

    @property
    def package(self) -> PackageId:
        """The agent's package."""
        return self.agent.package

    @property
    def generation(self) -> Generation | None:
        """How the model is asked to generate; None when everything is left to it."""
        asked = Generation() if self.model is None else self.model.generation
        return None if asked == Generation() else asked
