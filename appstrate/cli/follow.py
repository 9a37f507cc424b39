"""A run in the terminal, as it happens."""

import asyncio
import json
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from appstrate.cli.client import ApiError, Client

ENDED = ("success", "failed", "timeout", "cancelled")
STYLES = {"success": "bold green", "failed": "bold red", "timeout": "bold red"}
ARGUMENTS = 120


async def follow(client: Client, run: str, console: Console, *, verbose: bool) -> dict[str, Any]:
    """Print a run's log from its first line until it has ended; returns the run."""
    seen = 0
    for attempt in range(10):
        try:
            async for name, data in client.stream(f"/api/realtime/runs/{run}", seen):
                if name == "run_log":
                    seen = data["id"]
                    print_line(console, data, verbose=verbose)
                    if data["event"] == "run_completed":
                        return dict(await client.get(f"/api/runs/{run}"))
        except ApiError:
            if attempt == 9:
                raise
            await asyncio.sleep(0.3)
    raise ApiError("the stream ended before the run did")


def plain(text: str) -> str:
    """Text without control characters: what a model or a tool wrote must not steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def print_line(console: Console, line: dict[str, Any], *, verbose: bool) -> None:
    """One line of a log, for people."""
    message, data = plain(str(line.get("message") or "")), line.get("data") or {}
    if line["level"] == "debug" and not verbose:
        return
    if line["level"] == "error":
        console.print(Text(f"  ✗ {message}", "red"))
    elif line["level"] == "warn":
        console.print(Text(f"  ! {message}", "yellow"))
    elif line["event"] == "log":
        console.print(Text(f"  ● {message}", "cyan"))
    elif isinstance(data, dict) and "toolCallId" in data:
        _print_tool(console, data)
    elif line["type"] == "progress":
        console.print(Text(f"  {message}"))


def print_result(console: Console, run: dict[str, Any]) -> None:
    """How a run ended, and what it delivered."""
    status = run["status"]
    seconds = (run.get("duration") or 0) / 1000
    took = f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}"
    tokens = run.get("token_usage") or {}
    used = f"{tokens.get('input_tokens', 0)} + {tokens.get('output_tokens', 0)} tokens"
    style = STYLES.get(status, "bold yellow")
    console.print(f"[{style}]{status}[/] in {took} s, {used}")
    if run.get("error"):
        console.print(f"[red]{escape(plain(run['error']))}[/]")
    if run.get("result"):
        console.print_json(plain(json.dumps(run["result"]["output"], ensure_ascii=False)))


def _print_tool(console: Console, data: dict[str, Any]) -> None:
    if "args" in data:
        arguments = json.dumps(data["args"], ensure_ascii=False)
        console.print(Text(f"  → {plain(str(data['tool']))} {_short(arguments)}", "dim"))
    else:
        mark, style = ("✗", "red") if data.get("isError") else ("←", "dim")
        console.print(Text(f"  {mark} {_short(str(data.get('result')))}", style))


def _short(text: str) -> str:
    line = plain(" ".join(text.split()))
    return line if len(line) <= ARGUMENTS else line[:ARGUMENTS] + "…"
