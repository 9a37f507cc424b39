"""Where the server is, and with which key to talk to it."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from appstrate.environment import read_environment

DEFAULT_URL = "http://127.0.0.1:3000"


class AccessError(Exception):
    """There is no key to use; the message says how to get one."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """A server and a key for it."""

    url: str
    api_key: str


def data_dir() -> Path:
    """The data folder of a server that was started here."""
    return Path(read_environment().get("DATA_DIR", "./data")).expanduser().absolute()


def user_file() -> Path:
    """Where `appstrate login` keeps its key."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "appstrate" / "cli.json"


def find_url(url: str | None) -> str:
    """The server to talk to: as told, else the one that runs here, else that of the last login.

    So one that was stopped is still the one that is meant, and found not to answer.
    """
    told = url or os.environ.get("APPSTRATE_URL")
    if told:
        return _checked(told.strip())
    for path in (data_dir() / "server.json", *_logins()):
        if found := read_json(path).get("url"):
            return str(found)
    return DEFAULT_URL


def _checked(url: str) -> str:
    """A server's address as it was typed. Raises `AccessError` when it is none."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise AccessError(f"{url} is no address of a server: write it as {DEFAULT_URL}")
    return url.rstrip("/")


def find_access(url: str | None) -> Access:
    """A server and a key: from the environment, else from the demo in this folder or from a login,
    whichever was the last to sign in there.
    """
    where = find_url(url)
    if key := os.environ.get("APPSTRATE_API_KEY", "").strip():
        if not (key.isascii() and key.isprintable()):
            raise AccessError("APPSTRATE_API_KEY is no API key: one begins with ask_")
        return Access(url=where, api_key=key)
    kept = find_login(where)
    if "apiKey" in kept:
        return Access(url=where, api_key=str(kept["apiKey"]))
    raise AccessError(
        f"there is no API key for {where}: run `appstrate login`, or set APPSTRATE_API_KEY; "
        "`appstrate demo` starts a server to try things with, whose key is found in the folder it "
        "was started in"
    )


def has_own_key() -> bool:
    """Whether the environment brings a key, which then counts instead of any login."""
    return bool(os.environ.get("APPSTRATE_API_KEY", "").strip())


def wants_details() -> bool:
    """Whether whoever types wants to see where a mistake of ours is."""
    return bool(os.environ.get("APPSTRATE_DEBUG"))


def find_login(where: str) -> dict[str, Any]:
    """What was kept when somebody last signed in to a server here; empty when nobody did."""
    path = login_file(where)
    return read_json(path) if path else {}


def login_file(where: str) -> Path | None:
    """The file of the last login to a server, the demo's or the user's own."""
    record = data_dir() / "server.json"
    for path in _logins():
        kept = read_json(path)
        # The demo's server may have come back on another port.
        here = path.parent == data_dir() and _same(read_json(record).get("url"), where)
        if kept.get("apiKey") and (here or _same(kept.get("url"), where)):
            return path
    return None


def _logins() -> list[Path]:
    """Where logins are kept, the last one first."""
    return sorted((data_dir() / "cli.json", user_file()), key=_written, reverse=True)


def _written(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _same(one: object, other: str) -> bool:
    """Whether two URLs are one server; this machine has two names."""
    return str(one).replace("//localhost:", "//127.0.0.1:") == other.replace(
        "//localhost:", "//127.0.0.1:"
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_private(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=2)
    unfinished.replace(path)
