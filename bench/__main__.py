"""Measures this build and prints the table. Nothing is judged: targets stand beside the figures."""

import asyncio
import os
import platform
import sys

from bench import schedules, streams
from bench.figures import Figure, table
from bench.measures import measure
from bench.system import model

FIGURES = {
    "ask": Figure("ask of an actor, alone", "µs", ""),
    "first boot": Figure("first boot in an empty folder, to healthy", "s", "≤ 2.5"),
    "warm boot": Figure("warm boot, to healthy", "s", "≤ 1.0"),
    "idle": Figure("idle memory, PSS over all processes, no slots", "MB", "≤ 130"),
    "slot": Figure("memory per warm slot, PSS", "MB", "≤ 15"),
    "answered": Figure("POST run answered, alone", "ms", "≤ 15"),
    "answered at once": Figure("POST run answered, p50 among 20 at once", "ms", "≤ 40"),
    "first request": Figure("POST run to the agent's first model request, cold", "ms", "≤ 90"),
    "terminal": Figure("POST run to terminal, cold", "ms", "≤ 130"),
    "first request warm": Figure("  from a warm slot, to the first model request", "ms", "≤ 15"),
    "terminal warm": Figure("  from a warm slot, to terminal", "ms", "≤ 40"),
    "cpu": Figure("CPU per run, agent + server + database", "s", "≤ 0.12"),
    "at once": Figure("20 runs at once, wall", "s", "≤ 1.2"),
    "meanwhile p50": Figure("  other requests meanwhile, p50", "ms", "≤ 5"),
    "meanwhile p95": Figure("  other requests meanwhile, p95", "ms", "≤ 20"),
    "waiting": Figure("memory per waiting run, PSS", "MB", "≤ 15"),
    "agents": Figure("GET /api/agents, 16 connections", "/s", "≥ 2,500"),
    "runs": Figure("GET /api/runs?limit=20, 16 connections", "/s", "≥ 1,600"),
    "events": Figure("events ingested, 19 connections", "/s", "≥ 5,000"),
    "stream p50": Figure("event sent, to an open stream, p50", "ms", "≤ 3"),
    "stream p99": Figure("event sent, to an open stream, p99", "ms", "≤ 15"),
}


async def main() -> None:
    async with model() as serving:
        await measure(FIGURES, serving)
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, {platform.machine()}")
    print(table(list(FIGURES.values())))


if __name__ == "__main__":
    what = {"schedules": schedules.trial, "streams": streams.trial}
    asyncio.run(what.get("".join(sys.argv[1:]), main)())
