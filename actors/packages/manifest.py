"""Manifests of the four package types: their shape, and the rules that no schema can state.

The shapes are in `schemas/`, one for all types and one more for each. Manifests are open objects:
fields unknown here are kept and given back as they came.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from actors.documents import as_list, as_object
from actors.packages.integration_rules import integration_problems, integration_warnings
from actors.packages.versions import is_range, is_version
from actors.runtime import FieldProblem
from actors.schemas import Schema

PackageType: TypeAlias = Literal["agent", "skill", "integration", "mcp-server"]
Manifest: TypeAlias = dict[str, Any]

TYPES: tuple[PackageType, ...] = get_args(PackageType)
DEFAULT_TIMEOUT = 300
RETIRED = {"tools": "mcp_servers", "providers": "integrations"}
FORBIDDEN_MOUNTS = ("/", "/proc", "/sys", "/dev", "/etc")

_SCHEMAS = Path(__file__).with_name("schemas")


def _compiled(kind: str) -> Schema:
    common = json.loads((_SCHEMAS / "common.json").read_text())
    own = json.loads((_SCHEMAS / f"{kind}.json").read_text())
    return Schema(
        common
        | {
            "required": common["required"] + own.get("required", []),
            "properties": common["properties"] | own.get("properties", {}),
            "$defs": common["$defs"] | own.get("$defs", {}),
        }
    )


_BY_TYPE = {kind: _compiled(kind) for kind in TYPES}


def manifest_problems(document: Any) -> list[FieldProblem]:
    """Everything for which an author's manifest is refused; empty when it is good."""
    if not isinstance(document, dict):
        return [_problem("", "invalid_type", "a manifest is a JSON object")]
    manifest = as_object(document)
    kind = manifest.get("type")
    if kind not in TYPES:
        known = ", ".join(TYPES)
        return [_problem("type", "invalid_value", f"must be one of {known}, not {kind!r}")]
    problems = _BY_TYPE[kind].problems(manifest)
    if problems:
        # The rules below may rely on the shape.
        return problems + list(_version_problems(manifest))
    problems = [*_version_problems(manifest), *_dependency_problems(manifest)]
    match kind:
        case "agent":
            problems += _agent_problems(manifest)
        case "mcp-server":
            problems += _server_problems(manifest)
        case "integration":
            problems += integration_problems(manifest)
        case _:
            pass
    return problems


def publication_problems(manifest: Manifest) -> list[FieldProblem]:
    """What a draft may be, and a published version may not."""
    configured: Mapping[str, Any] = manifest.get("integrations_configuration", {})
    return [
        _problem(
            f"integrations_configuration.{name}.tools",
            "no_tools_selected",
            "selects no tool: list some, or leave it out for the integration's default ones",
        )
        for name, wished in configured.items()
        if manifest["type"] == "agent" and wished.get("tools") == []
    ]


def manifest_warnings(manifest: Manifest) -> list[str]:
    """What is odd about a manifest that is accepted."""
    if manifest["type"] == "integration":
        return list(integration_warnings(manifest))
    timeout = manifest.get("timeout")
    if timeout is not None and effective_timeout(manifest) != timeout:
        return [f"timeout {timeout!r} is not a positive number: {DEFAULT_TIMEOUT} seconds are used"]
    return []


def effective_timeout(manifest: Manifest) -> float:
    """Seconds an agent may run, before the platform's ceiling. Never coerced from text."""
    timeout = manifest.get("timeout")
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout > 0:
        return timeout
    return DEFAULT_TIMEOUT


def dependencies(manifest: Manifest, kind: str) -> dict[str, str]:
    """The dependencies of one kind (`skills`, `mcp_servers`, `integrations`): name → range."""
    found = as_object(as_object(manifest.get("dependencies")).get(kind))
    return {name: str(wanted) for name, wanted in found.items()}


def parameters(manifest: Manifest, side: Literal["input", "output"]) -> dict[str, Any] | None:
    """The JSON Schema of the input or output, or None when there is none worth checking."""
    schema = as_object(as_object(manifest.get(side)).get("schema"))
    return schema if schema.get("properties") else None


def runtime_tools(manifest: Manifest) -> list[str]:
    """The runtime tools an agent selected; unknown ones of stored manifests are dropped."""
    known = ("output", "log", "note", "pin", "publish_document")
    chosen = as_list(manifest.get("runtime_tools"))
    return [tool for tool in known if tool in chosen]


def integrations(manifest: Manifest) -> list[str]:
    """The integrations an agent declares."""
    return sorted(as_object(as_object(manifest.get("dependencies")).get("integrations")))


def _version_problems(manifest: Manifest) -> Iterator[FieldProblem]:
    version = manifest.get("version")
    if isinstance(version, str) and not is_version(version):
        yield _problem("version", "invalid_format", f"{version!r} is not a semantic version")
    spoken = manifest.get("schema_version")
    if isinstance(spoken, str) and not spoken.startswith("0."):
        yield _problem(
            "schema_version",
            "invalid_value",
            f"{spoken} is not supported: this platform reads schema versions 0.x",
        )


def _dependency_problems(manifest: Manifest) -> Iterator[FieldProblem]:
    declared: Mapping[str, Any] = manifest.get("dependencies", {})
    for old, new in RETIRED.items():
        if old in declared:
            yield _problem(
                f"dependencies.{old}", "unknown_field", f"is retired: use dependencies.{new}"
            )
    for kind in ("skills", "mcp_servers", "integrations"):
        for name, wanted in dependencies(manifest, kind).items():
            field = f"dependencies.{kind}.{name}"
            if not is_range(wanted):
                yield _problem(field, "invalid_format", f"{wanted!r} is not a version range")
            if name == manifest["name"]:
                yield _problem(field, "invalid_value", "a package cannot depend on itself")


def _agent_problems(manifest: Manifest) -> Iterator[FieldProblem]:
    for side in ("input", "output"):
        if side in manifest:
            try:
                Schema(manifest[side]["schema"])
            except ValueError as error:
                yield _problem(f"{side}.schema", "invalid_value", f"is no JSON Schema: {error}")
    if parameters(manifest, "output") and "output" not in manifest.get("runtime_tools", []):
        yield _problem(
            "runtime_tools",
            "required",
            "must list 'output', because an output schema is declared",
        )
    for name in manifest.get("integrations_configuration", {}):
        if name not in dependencies(manifest, "integrations"):
            yield _problem(
                f"integrations_configuration.{name}",
                "invalid_key",
                "is not among dependencies.integrations",
            )


def _server_problems(manifest: Manifest) -> Iterator[FieldProblem]:
    kind = manifest["server"]["type"]
    if kind == "uv" and manifest["manifest_version"] != "0.4":
        yield _problem("manifest_version", "invalid_value", "must be 0.4 for a server of type uv")
    meta = manifest.get("_meta", {})
    runtime = meta.get("dev.appstrate/mcp-server", {}).get("runtime")
    if runtime is not None and {"bun": "node"}.get(runtime, runtime) != kind:
        yield _problem(
            "_meta.dev.appstrate/mcp-server.runtime",
            "invalid_value",
            f"{runtime} does not run a server of type {kind}",
        )
    mount = meta.get("dev.appstrate/workspace", {}).get("mount", "/workspace")
    unsafe = not mount.startswith("/") or ".." in mount.split("/") or not mount.isprintable()
    if unsafe or any(mount == m or mount.startswith(f"{m}/") for m in FORBIDDEN_MOUNTS if m != "/"):
        yield _problem("_meta.dev.appstrate/workspace.mount", "invalid_value", "is not allowed")
    elif mount == "/":
        yield _problem("_meta.dev.appstrate/workspace.mount", "invalid_value", "cannot be /")


def _problem(field: str, code: str, message: str) -> FieldProblem:
    return FieldProblem(field=field, code=code, message=message)
