"""What a run may leave for the runs after it. Pure."""

import re
from typing import Any, Literal, TypeAlias

import msgspec

from actors.documents import as_list, as_object

LONGEST_NOTE = 2000
MOST_NOTES = 100
MOST_SLOTS = 100
LARGEST_SLOT = 64 * 1024
CHECKPOINT = "checkpoint"
KEY = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)

Reach: TypeAlias = Literal["actor", "shared"]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A note to be found by runs to come: of whoever the run is for, or of all."""

    content: str
    scope: Reach = "actor"


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A value under a key, shown to runs to come. The key `checkpoint` is where they go on."""

    key: str
    content: Any
    scope: Reach = "actor"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one run leaves: notes in the order they were taken, one slot for each key."""

    notes: list[Note] = msgspec.field(default_factory=list[Note])
    slots: list[Slot] = msgspec.field(default_factory=list[Slot])

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to be kept."""
        return not self.notes and not self.slots

    @property
    def checkpoint(self) -> Any:
        """What the run itself left as its checkpoint, whoever may see it."""
        return next((slot.content for slot in self.slots if slot.key == CHECKPOINT), None)


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """How many notes and slots found no room."""

    notes: int = 0
    slots: int = 0

    def __add__(self, other: "Dropped") -> "Dropped":
        return Dropped(notes=self.notes + other.notes, slots=self.slots + other.slots)

    @property
    def told(self) -> str | None:
        """What an operator reads of it; None when there was room for all."""
        parts = [
            *([f"{self.notes} notes"] if self.notes else []),
            *([f"{self.slots} pinned slots"] if self.slots else []),
        ]
        if not parts:
            return None
        return (
            f"{' and '.join(parts)} were not kept: an agent keeps {MOST_NOTES} notes and "
            f"{MOST_SLOTS} slots for each user, and as many that are shared. Delete some of them "
            "to make room."
        )


def read_kept(memories: Any, pinned: Any) -> Kept:
    """What a run's report wants to be kept. What makes no sense or is too large is left out."""
    notes = [note for each in as_list(memories) if (note := _note(as_object(each))) is not None]
    slots = [
        Slot(key=key, content=slot["content"], scope=_reach(slot))
        for key, value in as_object(pinned).items()
        if "content" in (slot := as_object(value)) and _fits(key, slot["content"])
    ]
    return Kept(notes=notes, slots=slots)


def _note(value: dict[str, Any]) -> Note | None:
    content = value.get("content")
    if not isinstance(content, str) or not content.strip():
        return None
    return Note(content=content[:LONGEST_NOTE], scope=_reach(value))


def _fits(key: str, content: Any) -> bool:
    return KEY.fullmatch(key) is not None and len(msgspec.json.encode(content)) <= LARGEST_SLOT


def _reach(value: dict[str, Any]) -> Reach:
    return "shared" if value.get("scope") == "shared" else "actor"
