"""Health, and one small page that says where one has landed."""

import asyncio
import html
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from string import Template
from typing import Any, Literal, TypeAlias

import msgspec
from aiohttp import web

from actors.addresses import Addresses, every_address
from actors.database import CheckDatabase
from actors.runtime import AskError, Refusal
from actors.runtime.address import State
from actors.sidecar_pool import Wall
from appstrate.http.call import Call, Media, Routes, Scope
from appstrate.http.codec import json_response
from appstrate.http.gate import Gate
from appstrate.http.policy import policy_of

PAGE = Template((Path(__file__).parent.parent / "pages" / "home.html").read_text())
CHECK_SECONDS = 2.0
LEAST_FREE = 100 * 2**20


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the server knows about itself. `reasons` has a line per capability and its choice,
    `walls` answers what stands between runs and this machine, once the server is ready; `folders`
    are where it writes.
    """

    version: str
    commit: str | None
    tier: str
    reasons: list[tuple[str, str]]
    walls: Callable[[], tuple[Wall, ...]]
    folders: tuple[Path, ...] = ()


Status: TypeAlias = Literal["healthy", "degraded", "unhealthy"]


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the server is; without checks before it has started and once it stops."""

    status: Literal[Status, "starting", "draining"]
    version: dict[str, str]
    uptime_ms: int | msgspec.UnsetType = msgspec.UNSET
    checks: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def status_routes(info: ServerInfo, gate: Gate, url: str) -> Routes:
    """`/health` and `/`."""
    routes = Routes()
    began = time.monotonic()

    @routes.add("GET", "/health", Scope.PUBLIC, answer=Health, also=(503,))
    async def health(call: Call) -> web.Response:
        """How the server and each of its parts are."""
        version = {"app": info.version} | ({"commit": info.commit} if info.commit else {})
        if gate.closed is not None or gate.draining:
            answer = Health(
                status="starting" if gate.closed == "starting" else "draining", version=version
            )
            return json_response(answer, 503)
        checks = await check(call.at, info.folders)
        checks["agents"]["walls"] = {w.name: {"up": w.up, "how": w.how} for w in info.walls()}
        answer = Health(
            status=overall(checks),
            version=version,
            uptime_ms=int((time.monotonic() - began) * 1000),
            checks=checks,
        )
        return json_response(answer, 503 if answer.status == "unhealthy" else 200)

    @routes.add("GET", "/", Scope.PUBLIC, answer=Media("text/html"))
    async def home(call: Call) -> web.Response:
        """Where one has landed, and what to do next."""
        checks = await check(call.at, info.folders)
        headers = {"Content-Security-Policy": policy_of(PAGE.template)}
        text = _page(info, checks, url)
        return web.Response(text=text, content_type="text/html", headers=headers)

    return routes


async def check(at: Addresses, folders: Iterable[Path] = ()) -> dict[str, Any]:
    """The state of the database, of running agents, of the disk, and of every actor."""
    try:
        found = await at.database.ask(CheckDatabase(), within=CHECK_SECONDS)
        database: dict[str, Any] = {
            "status": "healthy",
            "latency_ms": round(found.latency_ms, 2),
            "version": found.version,
            "embedded": found.embedded,
        }
    except (Refusal, AskError) as error:
        database = {"status": "unhealthy", "reason": str(error)}
    actors: dict[str, Any] = {}
    for address in every_address(at):
        actors[address.name] = {"status": address.state}
        if address.reason:
            actors[address.name]["reason"] = address.reason
    executing = (
        at.sidecar_pool,
        at.run_supervisor,
        at.run_sink,
        at.run_tokens,
        at.run_dispatcher,
        at.run_manager,
        at.launcher,
    )
    running = all(address.state is State.RUNNING for address in executing)
    agents = {"status": "healthy" if running else "degraded"}
    disk = await asyncio.to_thread(check_disk, folders)
    return {"database": database, "agents": agents, "disk": disk, "actors": actors}


def check_disk(folders: Iterable[Path], least: int = LEAST_FREE) -> dict[str, Any]:
    """Whether every folder has `least` bytes left; blocks for as long as the disk does."""
    for folder in folders:
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            return {"status": "degraded", "reason": f"{folder}: {error.strerror}"}
        if free < least:
            left = f"{folder}: {free / 2**20:.0f} MiB are left"
            return {"status": "degraded", "reason": left}
    return {"status": "healthy"}


def overall(checks: dict[str, Any]) -> Status:
    """One word for all checks."""
    if checks["database"]["status"] != "healthy":
        return "unhealthy"
    states = [actor["status"] for actor in checks["actors"].values()]
    running = all(state is State.RUNNING for state in states)
    return "healthy" if running and checks["disk"]["status"] == "healthy" else "degraded"


def _page(info: ServerInfo, checks: dict[str, Any], url: str) -> str:
    def rows(pairs: list[tuple[str, str]]) -> str:
        cells = ((html.escape(name), html.escape(text)) for name, text in pairs)
        return "\n".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in cells)

    states = [(name, str(actor["status"])) for name, actor in checks["actors"].items()]
    return PAGE.substitute(
        version=html.escape(info.version),
        tier=html.escape(info.tier),
        reasons=rows(info.reasons),
        status=overall(checks),
        actors=rows(states),
        url=html.escape(url),
    )
