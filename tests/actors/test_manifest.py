import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.packages import manifest as manifest_module
from actors.packages.content import front_matter, integrity_of, read_package
from actors.packages.manifest import (
    effective_timeout,
    manifest_problems,
    manifest_warnings,
    publication_problems,
)
from actors.packages.tool_catalog import tool_catalog
from actors.runtime import Rejected
from support.packages import (
    agent_archive,
    agent_manifest,
    archive,
    skill_archive,
    skill_manifest,
    typed_agent_manifest,
)

FNV_OF_18_B = "7708c9b8ab2ea525"
A_FILE = Path(manifest_module.__file__).with_name("schemas").joinpath("agent.json").as_uri()


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def problems(manifest: Any) -> dict[str, str]:
    return {p.field: p.code for p in manifest_problems(manifest)}


def server_manifest(**fields: Any) -> dict[str, Any]:
    return {
        "name": "@acme/srv",
        "version": "1.0.0",
        "type": "mcp-server",
        "manifest_version": "0.3",
        "server": {"type": "node", "entry_point": "server/index.js"},
    } | fields


def integration_manifest(auth: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "name": "@acme/mail",
        "version": "1.0.0",
        "type": "integration",
        "schema_version": "0.1",
        "source": {"kind": "none"},
        "auths": {
            "primary": {
                "type": "api_key",
                "credentials": {"schema": {"type": "object", "properties": {"api_key": {}}}},
                "delivery": {
                    "http": {
                        "in": "header",
                        "name": "Authorization",
                        "prefix": "Bearer",
                        "value": "{$credential.api_key}",
                    }
                },
                "authorized_uris": ["https://api.acme.example/**"],
            }
            | (auth or {})
        },
    } | fields


@pytest.mark.parametrize(
    "manifest",
    [
        agent_manifest(),
        typed_agent_manifest(),
        agent_manifest(schema_version="0.2", unknown={"kept": True}, author=""),
        agent_manifest(dependencies={"skills": {"@acme/tone": "^1.0.0", "@a/b": "1.x || >=2.5"}}),
        agent_manifest(_meta={"dev.appstrate/resources": {"memory_mb": 512}}),
        skill_manifest(),
        server_manifest(),
        server_manifest(_meta={"dev.appstrate/mcp-server": {"runtime": "bun"}}),
        integration_manifest(),
        integration_manifest(
            source={
                "kind": "remote",
                "remote": {"url": "https://mcp.x.example", "transport": "sse"},
            }
        ),
        integration_manifest({"type": "oauth2", "issuer": "https://id.acme.example"}),
    ],
)
def test_good_manifests_of_every_type_have_no_problems(manifest: dict[str, Any]) -> None:
    assert manifest_problems(manifest) == []


@pytest.mark.parametrize(
    ("manifest", "field", "code"),
    [
        ([], "", "invalid_type"),
        ({}, "type", "invalid_value"),
        (agent_manifest(type="tool"), "type", "invalid_value"),
        (agent_manifest(name="report"), "name", "invalid_value"),
        (agent_manifest(name="@Acme/report"), "name", "invalid_value"),
        (agent_manifest(version="1"), "version", "invalid_format"),
        (agent_manifest(version="01.2.3"), "version", "invalid_format"),
        (agent_manifest(schema_version="2.0"), "schema_version", "invalid_value"),
        (agent_manifest(schema_version="1.0"), "schema_version", "invalid_value"),
        (agent_manifest(display_name=""), "display_name", "out_of_range"),
        (agent_manifest(keywords="x"), "keywords", "invalid_type"),
        (agent_manifest(runtime_tools=["shout"]), "runtime_tools[0]", "invalid_value"),
        (agent_manifest(_meta={"a": "text"}), "_meta.a", "invalid_type"),
        (
            agent_manifest(dependencies={"tools": {}}),
            "dependencies.tools",
            "unknown_field",
        ),
        (
            agent_manifest(dependencies={"skills": {"@a/b": "not a range"}}),
            "dependencies.skills.@a/b",
            "invalid_format",
        ),
        (
            agent_manifest(dependencies={"skills": {"@acme/report": "*"}}),
            "dependencies.skills.@acme/report",
            "invalid_value",
        ),
        (
            agent_manifest(output=typed_agent_manifest()["output"]),
            "runtime_tools",
            "required",
        ),
        (
            agent_manifest(input={"schema": {"type": "object", "properties": {"a": {"type": 1}}}}),
            "input.schema",
            "invalid_value",
        ),
        (
            agent_manifest(
                input={"schema": {"type": "object", "properties": {"a": {"$ref": A_FILE}}}}
            ),
            "input.schema",
            "invalid_value",
        ),
        (
            agent_manifest(input={"schema": {"type": "object"}}),
            "input.schema.properties",
            "required",
        ),
        (
            agent_manifest(integrations_configuration={"@a/b": {"tools": "*"}}),
            "integrations_configuration.@a/b",
            "invalid_key",
        ),
        (server_manifest(manifest_version=3), "manifest_version", "invalid_type"),
        (
            server_manifest(server={"type": "uv", "entry_point": "a.py"}),
            "manifest_version",
            "invalid_value",
        ),
        (
            server_manifest(_meta={"dev.appstrate/workspace": {"mount": "/etc/x"}}),
            "_meta.dev.appstrate/workspace.mount",
            "invalid_value",
        ),
        (integration_manifest({"type": "oauth2"}), "auths.primary", "invalid_value"),
        (
            integration_manifest({"authorized_uris": []}),
            "auths.primary.authorized_uris",
            "invalid_value",
        ),
        (integration_manifest(default_tools="*"), "default_tools", "invalid_value"),
        (integration_manifest(source={"kind": "local"}), "source.server", "required"),
        (integration_manifest(default_tools=["search"]), "default_tools", "invalid_value"),
        (
            integration_manifest({"_meta": {"dev.appstrate/oauth": {"scope_separator": ";"}}}),
            "auths.primary._meta.dev.appstrate/oauth.scope_separator",
            "invalid_value",
        ),
        (
            integration_manifest(
                {
                    "credentials": {
                        "schema": {"type": "object", "properties": {"a": {"$ref": A_FILE}}}
                    }
                }
            ),
            "auths.primary.credentials.schema",
            "invalid_value",
        ),
    ],
)
def test_a_problem_names_its_field_and_kind(manifest: Any, field: str, code: str) -> None:
    assert problems(manifest).get(field) == code


ODD: tuple[Any, ...] = (None, [], {}, "", "x", 5, True, [None], [[]], {"a": None}, {"a": {}})
FULL = [
    agent_manifest(
        dependencies={"skills": {"@acme/tone": "^1"}, "integrations": {"@a/b": "*"}},
        integrations_configuration={"@a/b": {}},
        timeout=5,
    ),
    typed_agent_manifest(_meta={"dev.appstrate/resources": {"memory_mb": 5}}),
    server_manifest(
        _meta={
            "dev.appstrate/mcp-server": {"runtime": "node"},
            "dev.appstrate/workspace": {"mount": "/x"},
        }
    ),
    integration_manifest(
        {
            "scope_catalog": [
                {"value": "a", "label": "A", "implies": ["b"]},
                {"value": "b", "label": "B"},
            ],
            "default_scopes": ["a"],
        },
        _meta={"dev.appstrate/api": {"auths": {"primary": {}}}},
        tools_policy={"t": {"required_scopes": {"primary": ["a"]}}},
    ),
    integration_manifest(
        {
            "type": "custom",
            "connect": {
                "login": {
                    "outputs": {"api_key": "$.a"},
                    "expires_in_output": "api_key",
                    "identity_outputs": {"api_key": "$.b"},
                }
            },
        }
    ),
    skill_manifest(),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield from places(child, (*path, key))


@pytest.mark.parametrize("manifest", FULL)
def test_no_value_anywhere_is_more_than_a_problem(manifest: dict[str, Any]) -> None:
    """Whatever stands in the place of whatever is refused or accepted, and breaks nothing."""
    assert manifest_problems(manifest) == []
    for path in list(places(manifest)):
        for odd in ODD:
            changed = copy.deepcopy(manifest)
            holder: Any = changed
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = odd
            if not manifest_problems(changed):
                manifest_warnings(changed)


def test_an_agent_that_selects_no_tool_may_be_drafted_and_not_published() -> None:
    manifest = agent_manifest(
        dependencies={"integrations": {"@acme/mail": "*"}},
        integrations_configuration={"@acme/mail": {"tools": []}},
    )

    assert manifest_problems(manifest) == []
    assert [p.code for p in publication_problems(manifest)] == ["no_tools_selected"]


def test_xpath_is_a_warning_because_it_will_fail() -> None:
    manifest = integration_manifest(
        {
            "type": "custom",
            "connect": {"login": {"outputs": {"token": {"type": "xpath", "selector": "//t"}}}},
        }
    )

    assert "XPath" in manifest_warnings(manifest)[0]


@pytest.mark.parametrize(
    ("fields", "tools"),
    [
        ({}, []),
        ({"_meta": {"dev.appstrate/api": {"auths": {"primary": {}}}}}, ["api_call"]),
        (
            {"_meta": {"dev.appstrate/api": {"auths": {"a": {"upload_protocols": ["tus"]}}}}},
            ["api_call", "api_upload"],
        ),
        (
            {
                "_meta": {"dev.appstrate/api": {"auths": {"a": {}, "b": {}}}},
                "tools_policy": {"search": {}, "API-Call--a": {}},
            },
            ["search", "api_call__a", "api_call__b"],
        ),
        (
            {
                "_meta": {"dev.appstrate/api": {"auths": {"a": {"upload_protocols": ["tus"]}}}},
                "hidden_tools": ["api_call"],
                "tools_policy": {"search": {}},
            },
            ["search"],
        ),
    ],
)
def test_the_tools_of_an_integration(fields: dict[str, Any], tools: list[str]) -> None:
    assert tool_catalog(integration_manifest(**fields)) == tools


def test_a_long_auth_key_is_shortened_to_a_digest() -> None:
    meta: dict[str, Any] = {"dev.appstrate/api": {"auths": {"a": {}, "b" * 18: {}}}}

    # FNV-1a of 64 bits, computed independently.
    assert tool_catalog(integration_manifest(_meta=meta))[1] == "api_call__h0" + FNV_OF_18_B


def test_all_problems_are_reported_at_once() -> None:
    found = problems(agent_manifest(version="x", keywords=1, display_name=""))

    assert set(found) == {"version", "keywords", "display_name"}


def test_a_timeout_is_never_coerced() -> None:
    assert effective_timeout(agent_manifest(timeout=12.5)) == 12.5
    assert effective_timeout(agent_manifest(timeout="60")) == 300
    assert effective_timeout(agent_manifest(timeout=-1)) == 300
    assert effective_timeout(agent_manifest(timeout=True)) == 300
    assert "300" in manifest_warnings(agent_manifest(timeout="60"))[0]


def test_an_agent_is_read_from_its_archive() -> None:
    content = agent_archive(typed_agent_manifest())
    package = read_package(content)

    assert (package.id, package.type, package.content) == ("@acme/report", "agent", "Write it.")
    assert package.integrity == integrity_of(content)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (archive({"prompt.md": "x"}), "missing_manifest", "manifest.json"),
        (archive({"manifest.json": "{"}), "invalid_manifest", "no usable JSON"),
        (agent_archive(agent_manifest(description="a\0b")), "invalid_manifest", "NUL"),
        (agent_archive(agent_manifest(a=deep(200))), "invalid_manifest", "100 levels"),
        (archive({"manifest.json": "[" * 5000 + "]" * 5000}), "invalid_manifest", "100 levels"),
        (agent_archive(prompt="a\0b"), "invalid_content", "NUL"),
        (agent_archive(prompt=" \n"), "missing_content", "prompt.md is empty"),
        (archive({"manifest.json": "\xff".encode("latin-1")}), "invalid_content", "UTF-8"),
        (skill_archive(skill="no front matter"), "invalid_content", "front-matter"),
        (skill_archive(skill="---\ndescription: x\n---\n"), "invalid_content", "name"),
    ],
)
def test_an_archive_that_is_no_package_is_refused(content: bytes, code: str, words: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_package(content)

    assert caught.value.code == code
    assert words in caught.value.detail


def test_front_matter_is_read_line_by_line() -> None:
    assert front_matter("---\nname: 'a b'\ndescription: x: y\n---\nbody") == {
        "name": "a b",
        "description": "x: y",
    }
    assert front_matter("name: x") == {}
    assert front_matter("---\nname: x\n") == {}
