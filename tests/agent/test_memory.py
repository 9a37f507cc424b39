from typing import Any

import pytest

from appstrate.agent.models.turn import ToolError
from appstrate.agent.tools.memory import Memory, note_tool, pin_tool


class Recorded:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))


async def test_notes_are_kept_and_told() -> None:
    sink, memory = Recorded(), Memory()
    tool = note_tool(sink, memory)  # type: ignore[arg-type]

    assert await tool.run({"content": "Ada likes tea"}) == "Note saved"
    await tool.run({"content": "All like tea", "scope": "shared"})
    kept = [
        {"content": "Ada likes tea", "scope": "actor"},
        {"content": "All like tea", "scope": "shared"},
    ]
    assert memory.notes == kept
    assert sink.events == [("memory.added", note) for note in kept]


async def test_a_slot_is_pinned_again_and_again() -> None:
    sink, memory = Recorded(), Memory()
    tool = pin_tool(sink, memory)  # type: ignore[arg-type]

    assert await tool.run({"key": "checkpoint", "content": {"page": 1}}) == (
        'Pinned slot "checkpoint" updated'
    )
    await tool.run({"key": "checkpoint", "content": None, "scope": "shared"})
    assert memory.pinned == {"checkpoint": {"content": None, "scope": "shared"}}
    assert [kind for kind, _ in sink.events] == ["pinned.set"] * 2
    assert sink.events[0][1] == {"key": "checkpoint", "content": {"page": 1}, "scope": "actor"}


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (note_tool, {}, "content must be text"),
        (note_tool, {"content": "x" * 2001}, "has 2001 characters"),
        (note_tool, {"content": "x", "scope": "world"}, "scope must be one of"),
        (note_tool, {"content": "x", "colour": 1}, "no argument colour"),
        (pin_tool, {"key": "Upper", "content": 1}, "key must be"),
        (pin_tool, {"key": "x" * 65, "content": 1}, "key must be"),
        (pin_tool, {"key": "a\n", "content": 1}, "key must be"),
        (pin_tool, {"key": "ok"}, "content is missing"),
        (pin_tool, {"key": "ok", "content": "x" * 70_000}, "a slot holds at most 65536"),
        (pin_tool, {"key": "ok", "content": 1, "scope": None}, "scope must be one of"),
    ],
)
async def test_what_cannot_be_kept_is_refused(
    make: Any, arguments: dict[str, Any], words: str
) -> None:
    sink, memory = Recorded(), Memory()
    with pytest.raises(ToolError, match=words):
        await make(sink, memory).run(arguments)

    assert (sink.events, memory.notes, memory.pinned) == ([], [], {})
