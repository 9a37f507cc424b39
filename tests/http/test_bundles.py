"""Agents that travel with their skills."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from actors.packages.archive import BUNDLE, write_archive
from actors.packages.bundle import Bundle, write_bundle
from actors.packages.bundle_reader import read_bundle
from actors.packages.signature import SIGNATURE_FILE, key_id, sign
from appstrate.boot import Server, serving
from appstrate.settings import read_settings
from support.api import Answer, Api, new_owner
from support.packages import SKILL, agent_manifest, skill_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def agent_bundle(scope: str, *, skill: str = SKILL, version: str = "1.0.0") -> Bundle:
    manifest = agent_manifest(
        f"@{scope}/report", version=version, dependencies={"skills": {f"@{scope}/tone": "^1.0.0"}}
    )
    tone = skill_manifest(f"@{scope}/tone")
    return Bundle(
        root=f"@{scope}/report@{version}",
        packages={
            f"@{scope}/report@{version}": {
                "manifest.json": json.dumps(manifest).encode(),
                "prompt.md": b"Write it.",
                "notes/why.md": b"Because.",
            },
            f"@{scope}/tone@1.0.0": {
                "manifest.json": json.dumps(tone).encode(),
                "SKILL.md": skill.encode(),
            },
        },
    )


async def send(api: Api, content: bytes, path: str = "/api/packages/import-bundle") -> Answer:
    form = aiohttp.FormData()
    form.add_field("file", content, filename="some.afps-bundle")
    return await api.request("POST", path, data=form)


async def send_bundle(api: Api, bundle: Bundle) -> Answer:
    return await send(api, write_bundle(bundle.root, bundle.packages))


def scope() -> str:
    return f"b{uuid4().hex[:10]}"


def statuses(answer: Answer) -> list[str]:
    return [part["status"] for part in answer.json["imported"]]


async def test_a_bundle_is_imported_and_its_root_installed(owner: Api) -> None:
    bundle = agent_bundle(scope())

    answer = await send_bundle(owner, bundle)

    assert answer.status == 201, answer.body
    assert answer.json["root_installed"] is True
    assert answer.json["root_package_id"], answer.json["root_version"] == bundle.root.rsplit("@", 1)
    assert {(p["identity"], p["status"], p["type"]) for p in answer.json["imported"]} == {
        (bundle.root, "inserted", "agent"),
        (next(i for i in bundle.packages if i != bundle.root), "inserted", "skill"),
    }
    agents = (await owner.get("/api/agents")).json["data"]
    assert answer.json["root_package_id"] in [agent["id"] for agent in agents]


async def test_importing_it_again_reuses_everything(owner: Api) -> None:
    bundle = agent_bundle(scope())
    first = await send_bundle(owner, bundle)

    again = await send_bundle(owner, bundle)

    assert statuses(again) == ["reused", "reused"]
    assert [p["version_id"] for p in again.json["imported"]] == [
        p["version_id"] for p in first.json["imported"]
    ]


async def test_what_comes_out_goes_into_another_organization_no_more_and_back_in(
    owner: Api, server: Server
) -> None:
    bundle = agent_bundle(scope())
    name = (await send_bundle(owner, bundle)).json["root_package_id"]

    answer = await owner.get(f"/api/agents/{name}/bundle?version=1.0.0")

    assert answer.status == 200
    assert answer.headers["X-Bundle-Version"] == "1.0.0"
    assert answer.headers["X-Bundle-Integrity"] == bundle.integrity
    assert read_bundle(answer.body, BUNDLE).packages == bundle.packages
    assert statuses(await send(owner, answer.body)) == ["reused", "reused"]
    refused = await send(await new_owner(server.url), answer.body)
    assert (refused.status, refused.code) == (409, "bundle_conflict")
    assert set(refused.fields.values()) == {"foreign_org_owner"}


async def test_a_package_packed_by_another_tool_is_the_same_package(owner: Api) -> None:
    bundle = agent_bundle(scope())
    files = dict(bundle.packages[bundle.root])
    tone = next(files for identity, files in bundle.packages.items() if identity != bundle.root)
    await owner.upload(write_archive(tone))

    answer = await send_bundle(owner, bundle)

    assert sorted(statuses(answer)) == ["inserted", "reused"], files


async def test_other_content_under_a_published_version_is_refused_and_nothing_is_stored(
    owner: Api,
) -> None:
    name = scope()
    await send_bundle(owner, agent_bundle(name))
    other = agent_bundle(name, skill=SKILL + "\nBriefer.\n", version="2.0.0")

    answer = await send_bundle(owner, other)

    assert (answer.status, answer.code) == (409, "bundle_conflict")
    assert answer.fields == {f"@{name}/tone@1.0.0": "integrity_mismatch"}
    versions = await owner.get(f"/api/agents/@{name}/report/bundle?version=2.0.0")
    assert versions.status == 404


async def test_an_older_version_may_come_later_and_is_not_the_latest(owner: Api) -> None:
    name = scope()
    await send_bundle(owner, agent_bundle(name, version="2.0.0"))

    answer = await send_bundle(owner, agent_bundle(name, version="1.5.0"))

    assert answer.status == 201
    shown = await owner.get(f"/api/packages/agents/@{name}/report")
    assert shown.json["version"] == "2.0.0"


async def test_what_the_platform_ships_is_reused(owner: Api) -> None:
    name, shipped = scope(), "@appstrate/plain-writing"
    manifest = agent_manifest(f"@{name}/a", dependencies={"skills": {shipped: "*"}})
    skill = skill_manifest(shipped, version="0.0.1")
    packages = {
        f"@{name}/a@1.0.0": {"manifest.json": json.dumps(manifest).encode(), "prompt.md": b"x"},
        f"{shipped}@0.0.1": {
            "manifest.json": json.dumps(skill).encode(),
            "SKILL.md": SKILL.encode(),
        },
    }

    answer = await send_bundle(owner, Bundle(root=f"@{name}/a@1.0.0", packages=packages))

    parts = {part["identity"]: part["status"] for part in answer.json["imported"]}
    assert parts == {f"@{name}/a@1.0.0": "inserted", f"{shipped}@0.0.1": "reused"}


async def test_every_problem_of_every_package_is_told_at_once(owner: Api) -> None:
    bundle = agent_bundle(scope())
    packages: dict[str, Any] = {
        identity: {**files, "manifest.json": b'{"type": "agent"}'}
        for identity, files in bundle.packages.items()
    }

    answer = await send_bundle(owner, replace(bundle, packages=packages))

    assert (answer.status, answer.code) == (422, "bundle_invalid")
    assert {field.partition(":")[0] for field in answer.fields} == set(bundle.packages)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"no zip", "ARCHIVE_INVALID"), (write_archive({"a": b"x"}), "BUNDLE_JSON_MISSING")],
)
async def test_what_is_no_bundle_is_refused(owner: Api, content: bytes, told: str) -> None:
    answer = await send(owner, content)

    assert (answer.status, answer.code) == (422, "bundle_invalid")
    assert list(answer.fields.values()) == [told]


async def test_the_draft_is_exported_when_asked_for(owner: Api) -> None:
    name = (await send_bundle(owner, agent_bundle(scope()))).json["root_package_id"]

    answer = await owner.get(f"/api/agents/{name}/bundle?source=draft")

    assert answer.headers["X-Bundle-Version"] == "draft"
    assert len(read_bundle(answer.body, BUNDLE).packages) == 2


@pytest.fixture(scope="module")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    public = KEY.public_key().public_bytes_raw()
    trusted = {"keyId": key_id(public), "publicKey": base64.b64encode(public).decode()}
    data: Path = tmp_path_factory.mktemp("strict")
    settings = read_settings(
        {
            "DATA_DIR": str(data),
            "PORT": "0",
            "APP_ENV": "test",
            "AFPS_SIGNATURE_POLICY": "required",
            "AFPS_TRUST_ROOT": json.dumps([trusted]),
        }
    )
    async with serving(settings) as running:
        yield running


async def test_only_signed_packages_come_in_where_signatures_are_required(strict: Server) -> None:
    owner = await new_owner(strict.url)
    bundle = agent_bundle(scope())
    signed = {
        **bundle.packages[bundle.root],
        SIGNATURE_FILE: sign(bundle, KEY.private_bytes_raw()),
    }
    alone = Bundle(root=bundle.root, packages={bundle.root: bundle.packages[bundle.root]})

    refused = await send_bundle(owner, bundle)
    refused_alone = await owner.upload(write_archive(bundle.packages[bundle.root]))
    taken = await send_bundle(
        owner, replace(bundle, packages={**bundle.packages, bundle.root: signed})
    )
    files = {**bundle.packages[bundle.root]}
    files["manifest.json"] = files["manifest.json"].replace(b"1.0.0", b"1.0.1")
    alone = Bundle(root=bundle.root.replace("@1.0.0", "@1.0.1"), packages={})
    alone = replace(alone, packages={alone.root: files})
    files[SIGNATURE_FILE] = sign(alone, KEY.private_bytes_raw())
    taken_alone = await owner.upload(write_archive(files))

    assert (refused.status, refused.code) == (422, "bundle_signature_invalid")
    assert refused_alone.code == "bundle_signature_invalid"
    assert (taken.status, taken_alone.status) == (201, 201)


async def test_a_bundle_sent_as_a_package_is_told_where_to_go(owner: Api) -> None:
    bundle = agent_bundle(scope())
    content = write_bundle(bundle.root, bundle.packages)
    answer = await send(owner, content, "/api/packages/import")

    assert (answer.status, answer.code) == (400, "missing_manifest")
    assert "/api/packages/import-bundle" in answer.json["detail"]
