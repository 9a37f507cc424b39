"""Reading environment variables, and gathering everything that is wrong with them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values


class SettingsError(Exception):
    """The environment cannot be used; `problems` has a line for each variable that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_environment(folder: Path | None = None) -> dict[str, str]:
    """The process's environment over the `.env` of a folder; empty values count as unset.

    Raises `SettingsError` for a file that cannot be read.
    """
    path = (folder or Path.cwd()) / ".env"
    try:
        file = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from None
    merged = {k: v for k, v in file.items() if v} | {k: v for k, v in os.environ.items() if v}
    return {name: value.strip() for name, value in merged.items() if value.strip()}


class Reader:
    """Reads one variable at a time and gathers what is wrong."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.problems: list[str] = []

    def problem(self, name: str, why: str) -> None:
        self.problems.append(f"{name}: {why}")

    def text(self, name: str, default: str) -> str:
        return self.variables.get(name, default)

    def names(self, name: str) -> list[str]:
        return [part.strip() for part in self.text(name, "").split(",") if part.strip()]

    def choice(
        self, name: str, choices: tuple[str, ...], alias: str = "", default: str | None = None
    ) -> str:
        source = name if name in self.variables else alias
        value = self.variables.get(source, default or choices[0]).lower()
        if value not in choices:
            self.problem(source, f"must be one of {', '.join(choices)}, not {value!r}")
        return value

    def integer(self, name: str, default: int, least: int = 0, most: int = 2**31) -> int:
        text = self.variables.get(name)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            self.problem(name, f"must be a whole number from {least} to {most}, not {text!r}")
            return default
        return value

    def matching(self, name: str, pattern: re.Pattern[str]) -> str | None:
        value = self.variables.get(name)
        if value is not None and not pattern.fullmatch(value):
            self.problem(name, f"must match {pattern.pattern}")
        return value

    def origin(self, name: str) -> str | None:
        value = self.variables.get(name)
        if value is not None and not _is_origin(value):
            self.problem(name, f"must be an http(s) URL without path or password, not {value!r}")
            return None
        return _as_browsers_write(value) if value else None

    def origins(self, name: str) -> list[str]:
        found: list[str] = []
        for value in self.names(name):
            if _is_origin(value):
                found.append(_as_browsers_write(value))
            else:
                self.problem(name, f"{value!r} is not an origin such as https://example.com")
        return found

    def array(self, name: str) -> list[Any]:
        try:
            return msgspec.json.decode(self.text(name, "[]"), type=list[Any])
        except msgspec.DecodeError:
            self.problem(name, "must be a JSON array")  # what is in it may be a secret
            return []

    def strict(self, name: str, kind: type[Any]) -> Any:
        try:
            return msgspec.json.decode(self.text(name, "{}"), type=kind)
        except msgspec.DecodeError as error:
            self.problem(name, f"is not usable: {error}")
            return kind()


def _as_browsers_write(origin: str) -> str:
    """An origin in the one form that browsers send: lower case, without a default port."""
    scheme, _, host = origin.rstrip("/").lower().partition("://")
    return f"{scheme}://{host.removesuffix({'http': ':80', 'https': ':443'}[scheme])}"


def _is_origin(value: str) -> bool:
    try:
        parts = urlsplit(value)
        extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not extra
    except ValueError:
        return False
