"""What agents keep between runs: reading it, for runs and for people, and forgetting it."""

from typing import Any, TypeAlias, assert_never

import msgspec

from actors.accounts import Caller
from actors.ids import PackageId, RunId
from actors.packages import Packages, ShowPackage
from actors.persistence.records import (
    Choice,
    Entry,
    Memory,
    PastField,
    PastRun,
    PersistenceRecords,
    Viewer,
)
from actors.runtime import Actor, Address, Lane, NotFound, Request


class ReadSlots(Request["Persistence", dict[str, Any]], frozen=True, kw_only=True):
    """What a run is shown of what runs before it pinned, by key."""

    viewer: Viewer


class Recall(Request["Persistence", list[Memory]], frozen=True, kw_only=True):
    """Notes that contain a text, whatever its case, newest first."""

    viewer: Viewer
    text: str = ""
    limit: int = 10


class PastRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, and whether there are earlier ones."""

    runs: list[PastRun]
    more: bool


class ReadHistory(Request["Persistence", PastRuns], frozen=True, kw_only=True):
    """Earlier runs that succeeded for the viewer of a run, newest first; not that run itself.

    Of the `fields` that are not named nothing is told.
    """

    viewer: Viewer
    run: RunId
    fields: frozenset[PastField]
    limit: int = 10


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, and whether there are more than are told at once."""

    entries: list[Entry]
    more: bool


class ListEntries(Request["Persistence", Entries], frozen=True, kw_only=True):
    """What an agent keeps, the latest change first, as far as it is told at once.

    Who may not forget it sees their own entries and the shared ones.
    """

    caller: Caller
    package: PackageId
    choice: Choice = Choice()


class ForgetEntries(Request["Persistence", int], frozen=True, kw_only=True):
    """Forget some of what an agent keeps; how many entries that were.

    One that is named by its id must be there.
    """

    caller: Caller
    package: PackageId
    choice: Choice = Choice()


PersistenceMessage: TypeAlias = ReadSlots | Recall | ReadHistory | ListEntries | ForgetEntries


class Persistence(Actor):
    """Reads and forgets. Only the end of a run writes, in the transaction that ends it."""

    lanes = (Lane("persistence", 32),)

    def __init__(self, records: PersistenceRecords, packages: Address[Packages]) -> None:
        super().__init__()
        self._records = records
        self._packages = packages

    async def receive(self, message: PersistenceMessage) -> Any:
        match message:
            case ReadSlots():
                return await self._records.slots(message.viewer)
            case Recall():
                return await self._records.recall(message.viewer, message.text, message.limit)
            case ReadHistory():
                return await self._history(message)
            case ListEntries():
                return await self._list(message)
            case ForgetEntries():
                return await self._forget(message)
            case _:
                assert_never(message)

    async def _history(self, message: ReadHistory) -> PastRuns:
        runs = await self._records.history(message.viewer, message.run, message.limit + 1)
        hidden = dict.fromkeys({"checkpoint", "result"} - message.fields, msgspec.UNSET)
        shown = [msgspec.structs.replace(run, **hidden) for run in runs[: message.limit]]
        return PastRuns(runs=shown, more=len(runs) > message.limit)

    async def _list(self, message: ListEntries) -> Entries:
        await self._check_agent(message.caller, message.package)
        entries, more = await self._records.entries(
            *message.caller.tenant, message.package, _narrowed(message.caller, message.choice)
        )
        return Entries(entries=entries, more=more)

    async def _forget(self, message: ForgetEntries) -> int:
        await self._check_agent(message.caller, message.package)
        forgotten = await self._records.forget(
            *message.caller.tenant, message.package, _narrowed(message.caller, message.choice)
        )
        if not forgotten and message.choice.id is not None:
            raise NotFound(f"this agent keeps nothing under the id {message.choice.id}")
        return forgotten

    async def _check_agent(self, caller: Caller, package: PackageId) -> None:
        await self._packages.ask(ShowPackage(caller=caller, type="agent", package=package))


def viewer_of(caller: Caller, package: PackageId) -> Viewer:
    """As whom a run that a caller launches looks at what its agent keeps."""
    org, application = caller.tenant
    return Viewer(
        org=org,
        application=application,
        package=package,
        user=caller.user if caller.end_user is None else None,
        end_user=caller.end_user,
    )


def _narrowed(caller: Caller, choice: Choice) -> Choice:
    """What others keep is for owners and admins, who may forget it."""
    if "persistence:delete" in caller.permissions:
        return choice
    return msgspec.structs.replace(choice, seen_by=caller.user)
