"""What agents keep between runs, as it is read."""

from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from actors.contract import Resource, spell
from actors.ids import ApplicationId, EndUserId, OrgId, PackageId, RunId, UserId

ActorType: TypeAlias = Literal["user", "end_user", "shared"]
Kind: TypeAlias = Literal["pinned", "memory"]
PastField: TypeAlias = Literal["checkpoint", "result"]


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf an agent looks at what it kept: it sees what is theirs, and what is shared.

    Neither a user nor an end user: only what is shared.
    """

    org: OrgId
    application: ApplicationId
    package: PackageId
    user: UserId | None = None
    end_user: EndUserId | None = None


class Memory(Resource, frozen=True, kw_only=True, rename=spell):
    """A note that was found."""

    id: int
    content: str
    created_at: datetime
    actor_type: ActorType
    actor_id: str | None = msgspec.field(name="actor_id")


class PastRun(Resource, frozen=True, kw_only=True, rename=spell, omit_defaults=True):
    """An earlier run, with the fields that were asked for; `duration` is in milliseconds."""

    id: RunId
    status: str
    started_at: datetime = msgspec.field(name="started_at")
    duration: int | None
    checkpoint: Any = msgspec.UNSET
    result: Any = msgspec.UNSET


class Entry(Resource, frozen=True, kw_only=True, rename=spell):
    """A note, or what is pinned: a slot has a key, a memo that is always shown has none."""

    id: int
    key: str | None
    content: Any
    run_id: RunId | None
    actor_type: ActorType
    actor_id: str | None = msgspec.field(name="actor_id")
    created_at: datetime
    updated_at: datetime
    pinned: bool


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which of an agent's entries are meant. `seen_by` leaves a user's own and the shared ones."""

    kind: Kind | None = None
    actor_type: ActorType | None = None
    actor_id: str | None = None
    run: RunId | None = None
    id: int | None = None
    seen_by: UserId | None = None


class PersistenceRecords(Protocol):
    """Where it is kept. Each method is one transaction; it is written when a run ends."""

    async def slots(self, viewer: Viewer) -> dict[str, Any]:
        """What each slot holds for a viewer: their own before the shared one, by key."""
        ...

    async def recall(self, viewer: Viewer, text: str, limit: int) -> list[Memory]:
        """Notes a viewer sees that contain a text, whatever its case, newest first."""
        ...

    async def history(self, viewer: Viewer, but: RunId, limit: int) -> list[PastRun]:
        """Earlier runs for the same viewer that succeeded, newest first, without `but`.

        Whose user or end user is gone has none: the runs of others who are gone are not theirs.
        """
        ...

    async def entries(
        self, org: OrgId, application: ApplicationId, package: PackageId, choice: Choice
    ) -> tuple[list[Entry], bool]:
        """Some entries of an agent, the latest change first, and whether there are more.

        A thousand of them at most, or about 16 MB; those of one user are never more.
        """
        ...

    async def forget(
        self, org: OrgId, application: ApplicationId, package: PackageId, choice: Choice
    ) -> int:
        """Delete some entries of an agent; how many they were."""
        ...
