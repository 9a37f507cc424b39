"""Runs in the terminal: a table of them, and why one is as it is."""

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from appstrate.cli.follow import STYLES, plain
from appstrate.cli.terminal import print_table

LEVELS = {"error": "red", "warn": "yellow"}
MARKS = {"phase": "●", "model": "→", "log": "!", "exit": "■"}
LAST_LINES = 20
ERROR = 60


def print_runs(console: Console, runs: list[dict[str, Any]]) -> None:
    """A line for each run, newest first."""
    table = Table.grid(padding=(0, 2))
    for run in runs:
        began = datetime.fromisoformat(run["started_at"]).astimezone()
        status = Text(run["status"], STYLES.get(run["status"], ""))
        name = f"{run['agent_scope']}/{run['agent_name']} #{run['runNumber']}"
        error = plain(str(run["error"] or "")).split("\n", 1)[0]
        table.add_row(
            *(Text(run["id"]), f"{began:%Y-%m-%d %H:%M:%S}", status, _seconds(run), Text(name)),
            Text(error if len(error) <= ERROR else error[:ERROR] + "…", "red"),
        )
    print_table(console, table)


def print_why(console: Console, told: dict[str, Any]) -> None:
    """What happened, in order, then the cause and the remedy."""
    console.print(Text(f"Run {told['runId']}: {told['status']}", "bold"))
    for moment in told["timeline"]:
        mark, style = MARKS[moment["kind"]], LEVELS.get(moment["level"], "")
        line = f"  {moment['after'] / 1000:9.3f} s  {mark} {plain(moment['text'])}"
        console.print(Text(line, style))
    reached = {phase["name"] for phase in told["phases"] if phase["at"]}
    missing = [phase["name"] for phase in told["phases"] if phase["name"] not in reached]
    if missing:
        console.print(Text(f"  never reached: {', '.join(missing)}", "dim"))
    if told["output"] and told["status"] != "success":
        console.print(Text(f"Last lines of the program ({len(told['output'])} are kept):", "bold"))
        for line in told["output"][-LAST_LINES:]:
            console.print(Text(f"  {plain(line)}", "dim"))
    console.print(Text(plain(told["summary"]), "bold"))
    if told["error"] and told["error"] not in told["summary"]:
        console.print(Text(plain(told["error"]), "red"))
    console.print(Text(f"What to do: {plain(told['remedy'])}"))


def _seconds(run: dict[str, Any]) -> str:
    return f"{run['duration'] / 1000:.1f} s" if run["duration"] is not None else ""
