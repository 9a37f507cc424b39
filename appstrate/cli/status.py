"""`appstrate status`: how the server is, and as whom the command line speaks to it."""

from typing import Any

import typer
from rich.text import Text

from appstrate.cli.output import print_json, print_rows, safe
from appstrate.cli.terminal import AsJson, Url, console, run_work

COLORS = {"healthy": "green", "running": "green", "degraded": "yellow"}


def status(as_json: AsJson = False, url: Url = None) -> None:
    """Say how the server and its parts are; exits with 1 when it is not well."""
    from appstrate.cli.access import find_login, find_url

    where = find_url(url)
    health = run_work(_health(where))
    kept = find_login(where)
    login: dict[str, Any] = {
        name: kept[name] for name in ("email", "slug", "orgId") if name in kept
    }
    if as_json:
        print_json({"url": where, "login": login or None, "health": health})
    else:
        _print(where, health, login)
    raise typer.Exit(0 if health["status"] in {"healthy", "degraded"} else 1)


def _print(where: str, health: dict[str, Any], login: dict[str, Any]) -> None:
    from appstrate.cli.access import has_own_key

    up = int(health.get("uptime_ms", 0) / 1000)
    since = f", up for {up // 3600}:{up // 60 % 60:02}:{up % 60:02}" if up else ""
    console.print(f"[bold]{where}[/]  version {health['version']['app']}{since}")
    if has_own_key():
        console.print("With the key of APPSTRATE_API_KEY")
    elif login:
        place = login.get("slug") or login.get("orgId")
        console.print(f"Signed in as {safe(login['email'])} in {safe(place)}")
    else:
        console.print("Signed in as nobody: run `appstrate login`")
    checks = dict(health.get("checks") or {})
    actors = checks.pop("actors", {})
    rows = [("server", _state(health["status"]), f"{len(actors)} actors" if actors else "")]
    rows += [(name, _state(check["status"]), _about(check)) for name, check in checks.items()]
    rows += [
        (name, _state(actor["status"]), actor.get("reason", ""))
        for name, actor in actors.items()
        if actor["status"] != "running"
    ]
    print_rows(("PART", "STATE", "ABOUT"), rows)


def _about(check: dict[str, Any]) -> str:
    told = [check["reason"]] if "reason" in check else []
    if "latency_ms" in check:
        told.append(f"PostgreSQL {check.get('version', '')}, answers in {check['latency_ms']} ms")
    down = [wall for wall, found in (check.get("walls") or {}).items() if not found["up"]]
    if down:
        told.append(f"walls that do not stand: {', '.join(down)}; see `appstrate doctor`")
    return "; ".join(told)


def _state(state: str) -> Text:
    return Text(state, COLORS.get(state, "red"))


async def _health(url: str) -> dict[str, Any]:
    from appstrate.cli.client import Client

    async with Client(url) as client:
        return dict(await client.health())
