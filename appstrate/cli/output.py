"""How results are printed: rows for people, one JSON document for programs."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.text import Text

from appstrate.cli.terminal import console

STYLES = {
    "success": "green",
    "failed": "red",
    "timeout": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "pending": "cyan",
}
LAST = 20


def print_json(document: object) -> None:
    """One document, as the API spells it, without any markup and for any locale."""
    console.file.write(json.dumps(document, indent=2) + "\n")


def tell(document: object, sentence: str, *, as_json: bool) -> None:
    """A result: for people a sentence, with markup."""
    if as_json:
        print_json(document)
    else:
        console.print(sentence)


def show_rows(
    page: dict[str, Any], head: str, rows: Iterable[Sequence[object]], *, as_json: bool, none: str
) -> None:
    """A list: for programs the API's page, for people a table, or a sentence when it is empty."""
    if as_json:
        print_json(page)
    elif page["data"]:
        print_rows([name.replace("_", " ") for name in head.split()], rows)
        if page.get("hasMore"):
            console.print("[dim]… and more[/]")
    else:
        console.print(none)


def print_rows(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, whole: bool = False
) -> None:
    """A table with a heading, if any, without the columns that nothing is in.

    Columns are as wide as what they hold, for ids are for copying; only the last is cut at a
    terminal's edge, where it has `LAST` characters at least, unless the `whole` of it matters.
    """
    table = [[_cell(value) for value in row] for row in rows]
    used = [n for n in range(len(head)) if any(row[n].plain for row in table)]
    if "".join(head).strip():
        table.insert(0, [Text(name, "bold") for name in head])
    widths = [max(row[n].cell_len for row in table) for n in used]
    before = sum(widths[:-1]) + 2 * len(widths[:-1])
    for row in table:
        cells = [row[n] for n in used]
        for cell, width in zip(cells[:-1], widths[:-1], strict=True):
            cell.pad_right(width - cell.cell_len)
        if console.is_terminal and not whole:
            cells[-1].truncate(max(console.width - before, LAST), overflow="ellipsis")
        line = Text("  ").join(cells)
        line.rstrip()
        console.print(line)


def print_fields(document: dict[str, Any]) -> None:
    """A line for each field that says something."""
    shown = {name: value for name, value in document.items() if value not in (None, {}, [])}
    rows = [(name, v if isinstance(v, str) else json.dumps(v)) for name, v in shown.items()]
    print_rows(("FIELD", "VALUE"), rows, whole=True)


def local(moment: str | None, none: str = "") -> str:
    """A time as the clock here shows it."""
    if moment is None:
        return none
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"


def status(name: str) -> Text:
    """A state, in its colour."""
    return Text(name, STYLES.get(name, ""))


def plain(text: str) -> str:
    """Text without control characters: what a model or a tool wrote must not steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def safe(text: object) -> str:
    """What somebody else wrote, for within markup."""
    return escape(plain(str(text)))


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    text = "" if value is None else str(value)
    return Text(plain(" ".join(text.split())))
