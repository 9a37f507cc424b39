"""What of a run's report is kept."""

from actors.persistence import Note, Slot, read_kept
from actors.persistence.rules import LARGEST_SLOT


def test_what_makes_no_sense_is_left_out() -> None:
    kept = read_kept(
        [
            {"content": "one"},
            {"content": "two", "scope": "shared"},
            {"content": "x" * 2001, "scope": "world"},
            {"content": " "},
            {"content": 3},
            "four",
        ],
        {
            "checkpoint": {"content": {"page": 1}},
            "none": {"content": None, "scope": "shared"},
            "Upper": {"content": 1},
            "line\n": {"content": 1},
            "k" * 65: {"content": 1},
            "large": {"content": "x" * LARGEST_SLOT},
            "empty": {},
            "text": "content",
        },
    )

    assert kept.notes == [
        Note(content="one"),
        Note(content="two", scope="shared"),
        Note(content="x" * 2000),
    ]
    assert kept.slots == [
        Slot(key="checkpoint", content={"page": 1}),
        Slot(key="none", content=None, scope="shared"),
    ]
    assert kept.checkpoint == {"page": 1}


def test_a_report_without_any_leaves_nothing() -> None:
    assert read_kept(None, None).nothing
    assert read_kept({"a": 1}, [1]).nothing
    assert read_kept([], {}).checkpoint is None
