"""What an agent is given, from what was typed."""

import json
import mimetypes
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from appstrate.cli.terminal import agent_parts, errors, fail, path

if TYPE_CHECKING:
    from appstrate.cli.client import Client

Values = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", help="name=value, a JSON object, @file.json, or - for the standard input."
    ),
]
Files = Annotated[
    list[str] | None,
    typer.Option("--file", help="name=path: a file for an input that takes one, or many."),
]
HOW = "write name=value, a JSON object, @file.json, or -"


async def typed_input(
    client: "Client", agent: str, version: str | None, values: list[str]
) -> dict[str, Any]:
    """An input whose pairs are what the agent's schema wants: `count=3` a number, if it counts.

    A name the agent does not know is told, for it is taken all the same.
    """
    said = read_input(values)
    pairs = {value.partition("=")[0] for value in values if _is_pair(value)}
    if not pairs:
        return said
    schema = await _schema(client, agent, version)
    if schema is None:
        return said
    for name in sorted(pairs - schema.keys()):
        errors.print(Text(f"{agent} knows no input {name}: it takes {_listed(schema)}", "yellow"))
    return {
        name: _converted(value, schema.get(name)) if name in pairs else value
        for name, value in said.items()
    }


def read_input(values: list[str]) -> dict[str, Any]:
    """An input as it was typed: pairs are text; the later is the stronger. Fails on mistakes."""
    merged: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not _is_pair(value):
            merged |= _json_object(value)
        elif equals and name:
            merged[name] = text
        else:
            fail(f"--input {value}: {HOW}", 2)
    return merged


def read_files(files: list[str]) -> list[tuple[str, Path]]:
    """Names of inputs, and the files for them. Fails on mistakes."""
    found: list[tuple[str, Path]] = []
    for each in files:
        name, equals, text = each.partition("=")
        if not (equals and name and text):
            fail(f"--file {each}: write name=path", 2)
        if not Path(text).is_file():
            fail(f"--file {each}: there is no file {text}", 2)
        found.append((name, Path(text)))
    return found


async def send_files(
    client: "Client", agent: str, version: str | None, files: list[tuple[str, Path]]
) -> dict[str, Any]:
    """Upload files; the input that names them, in a list where the agent takes many.

    Fails on a name that takes none, which would be given their addresses as a text.
    """
    from actors.documents import as_object
    from actors.schemas import is_file_field

    if not files:
        return {}
    found = await _schema(client, agent, version)
    schema = found or {}
    taken = [name for name, field in schema.items() if is_file_field(as_object(field))]
    for name, file in files:
        if found is not None and name not in taken:
            told = f"{agent} takes no file as {name}: as files it takes {_listed(taken)}"
            fail(f"--file {name}={file}: {told}", 2)
    sent: dict[str, list[str]] = {}
    for name, file in files:
        mime = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        sent.setdefault(name, []).append(await client.send_file(file, mime))
    return {
        name: uris if len(uris) > 1 or "array" in types_of(schema.get(name)) else uris[0]
        for name, uris in sent.items()
    }


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


async def _schema(client: "Client", agent: str, version: str | None) -> dict[str, Any] | None:
    """The fields an agent takes; None when that cannot be told: then the launch will say why."""
    from appstrate.cli.client import RefusedError

    query = {"version": version} if version else {}
    try:
        found = await client.get(path("packages", "agents", *agent_parts(agent)), **query)
    except RefusedError:
        return None
    return dict(((found.get("input") or {}).get("schema") or {}).get("properties") or {})


def _converted(text: object, field: object) -> object:
    """Text, or what it is in JSON where a field takes no text."""
    types = types_of(field)
    if not types or "string" in types:
        return text
    try:
        return json.loads(str(text))
    except ValueError:
        return text  # which the server refuses, and tells what the field takes


def types_of(field: object) -> list[str]:
    """The types a field of a JSON schema names."""
    kind = field.get("type") if isinstance(field, dict) else None
    return [kind] if isinstance(kind, str) else list(kind or [])


def _is_pair(value: str) -> bool:
    return value != "-" and not value.startswith(("{", "@"))


def _json_object(value: str) -> dict[str, Any]:
    try:
        if value == "-":
            found = json.loads(sys.stdin.read())
        else:
            found = json.loads(Path(value[1:]).read_text() if value.startswith("@") else value)
    except OSError as error:
        fail(f"--input {value}: {error.strerror}", 2)
    except ValueError as error:
        fail(f"--input {value}: this is no JSON: {error}", 2)
    if not isinstance(found, dict):
        fail(f"--input {value}: must be a JSON object", 2)
    return dict(found)
