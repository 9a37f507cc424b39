"""A run in the terminal, as it happens."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import Any

from rich.console import Console
from rich.text import Text

from appstrate.cli.client import ApiError, Client, RefusedError
from appstrate.cli.output import STYLES, plain, safe
from appstrate.cli.terminal import elapsing, errors, path

ENDED = ("success", "failed", "timeout", "cancelled")
ARGUMENTS = 120
GIVE_UP_SECONDS = 180.0
PAUSES = (0.2, 0.5, 1.0, 2.0)
CUT_MESSAGE = 2000
CUT_DATA = "[payload too large]"


async def follow(
    client: Client, run: str, console: Console, *, verbose: bool, as_json: bool = False
) -> dict[str, Any]:
    """Print a run's log from its first line until it has ended; returns the run.

    Every line comes once, also when the server restarts meanwhile.
    """
    # Only a terminal that the lines themselves go to may have a moving line below them.
    moving = console.is_terminal and not console.quiet and not as_json
    with elapsing(console, "the run goes on") if moving else nullcontext():
        async for line in _lines(client, run, console if moving else errors):
            show_line(console, line, verbose=verbose, as_json=as_json)
    return dict(await client.get(path("runs", run)))


async def _lines(client: Client, run: str, notes: Console) -> AsyncGenerator[dict[str, Any], None]:
    """The lines of a run's log, whole and each once, until the run has ended."""
    seen, failures, since = 0, 0, time.monotonic()
    while True:
        try:
            async for name, data in client.stream(path("realtime", "runs", run), seen):
                if failures > len(PAUSES):
                    notes.print("[dim]… connected again[/]")
                failures, since = 0, time.monotonic()
                if name == "run_log" and data["id"] > seen:
                    line = await _whole(client, data)
                    seen = data["id"]
                    yield line
                    if line["event"] == "run_completed":
                        return
        except ApiError as error:
            lasting = isinstance(error, RefusedError) and not error.passing
            if lasting or time.monotonic() - since > GIVE_UP_SECONDS:
                raise
        failures += 1
        if failures == len(PAUSES) + 1:
            notes.print("[dim]… the server is away; trying again[/]")
        await asyncio.sleep(PAUSES[min(failures, len(PAUSES)) - 1])


async def _whole(client: Client, line: dict[str, Any]) -> dict[str, Any]:
    """A line as the log has it; a stream leaves out what is large."""
    if len(line.get("message") or "") < CUT_MESSAGE and line.get("data") != CUT_DATA:
        return line
    asked = {"since": str(line["id"] - 1), "limit": "1"}
    [whole] = (await client.get(path("runs", line["runId"], "logs"), **asked))["data"]
    return dict(whole)


def show_line(console: Console, line: dict[str, Any], *, verbose: bool, as_json: bool) -> None:
    """One line of a log, for people or for programs."""
    if as_json:
        console.file.write(json.dumps(line) + "\n")
        console.file.flush()
    else:
        print_line(console, line, verbose=verbose)


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


def print_result(console: Console, run: dict[str, Any], *, delivered: bool = True) -> None:
    """How a run ended, and what it `delivered`."""
    status = run["status"]
    seconds = (run.get("duration") or 0) / 1000
    took = f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}"
    tokens = run.get("token_usage") or {}
    used = f"{tokens.get('input_tokens', 0)} + {tokens.get('output_tokens', 0)} tokens"
    console.print(f"[bold {STYLES.get(status, 'yellow')}]{status}[/] in {took} s, {used}")
    if run.get("error"):
        console.print(f"[red]{safe(run['error'])}[/]")
    if delivered and run.get("result"):
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
