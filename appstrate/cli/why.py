"""Why a run is as it is, in the terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text

from appstrate.cli.output import plain

LEVELS = {"error": "red", "warn": "yellow"}
MARKS = {"phase": "●", "model": "→", "log": "!", "exit": "■"}
LAST_LINES = 20


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
    if told["error"] and told["error"] not in told["summary"]:
        console.print(Text(plain(told["error"]), "red"))
    print_cause(console, told)


def print_cause(console: Console, told: dict[str, Any]) -> None:
    """The cause, and the remedy."""
    console.print(Text(plain(told["summary"]), "bold"))
    console.print(Text(f"What to do: {plain(told['remedy'])}"))
