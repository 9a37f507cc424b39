"""Things of an organization, and what stands for them in the paths and bodies of routes.

A route with a new path parameter needs a line in `IN_PATH`, and if nothing of that kind exists yet,
a field in `Things`. A body that cannot be made up from its type needs a line in `BODIES`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from appstrate.http.call import Route
from support.api import Api
from support.fake_model import FakeModel, Say
from support.files import FILE_INPUT
from support.packages import archive, skill_archive, skill_manifest

VERSION = "1.0.0"


@dataclass(kw_only=True)
class Things:
    """An organization that has one of everything, and its owner."""

    owner: Api
    user: str
    invitation: str
    token: str
    run: str
    schedule: str
    key: str
    credential: str
    model: str
    memory: str
    slot: str
    webhook: str
    delivery: str
    notification: str
    end_user: str
    document: str
    packages: dict[str, str] = field(default_factory=dict)

    def package(self, path: str) -> str:
        """The package a path is about: of its folder's type, else the agent."""
        folder = path.split("/")[3] if path.startswith("/api/packages/") else ""
        return self.packages.get(folder, self.packages["agents"])


async def new_things(owner: Api, fake: FakeModel) -> Things:
    """One of everything, in the organization of `owner`."""
    packages = {"agents": await owner.new_agent(runtime_tools=["note", "pin"])}
    for folder, content in _archives(owner.scope).items():
        made = await owner.upload(content)
        assert made.status == 201, made.body
        packages[folder] = made.json["packageId"]
    keeping: dict[str, Any] = {"note": {"content": "n"}, "pin": {"key": "k", "content": 1}}
    model = await owner.new_model(fake, fake.script("foreign", Say("", keeping), Say("Done.")))
    key = (await owner.post("/api/api-keys", {"name": "foreign"})).json["id"]
    data = "data:text/csv;name=data.csv;base64,YSxi"
    run = await owner.finished(packages["agents"])
    reading = await owner.new_agent("reader", **FILE_INPUT)
    read = await owner.finished(reading, {"input": {"report": data}})
    scheduled = await owner.post(
        f"/api/agents/{packages['agents']}/schedules", {"cron_expression": "@yearly"}
    )
    assert scheduled.status == 201, scheduled.body
    kept = (await owner.get(f"/api/agents/{packages['agents']}/persistence")).json
    user = (await owner.get("/api/auth/get-session")).json["user"]["id"]
    invited = await owner.post(
        f"/api/orgs/{owner.org['id']}/members", {"email": "eve@example.com", "role": "viewer"}
    )
    assert invited.status == 201, invited.body
    webhook = (
        await owner.post(
            "/api/webhooks",
            {"level": "org", "url": "https://127.0.0.1:9/", "events": ["run.cancelled"]},
        )
    ).json["id"]
    tested = await owner.post(f"/api/webhooks/{webhook}/test")
    assert tested.status == 200, tested.body
    notified = (await owner.get("/api/notifications")).json["data"]
    return Things(
        owner=owner,
        user=user,
        invitation=invited.json["id"],
        token=invited.json["token"],
        run=run["id"],
        schedule=scheduled.json["id"],
        key=key,
        credential=model["credentialId"],
        model=model["id"],
        memory=str(kept["memories"][0]["id"]),
        slot=str(kept["pinned"][0]["id"]),
        webhook=webhook,
        delivery=tested.json["delivery"]["id"],
        notification=notified[0]["id"],
        end_user=(await owner.post("/api/end-users", {})).json["id"],
        document=read["input"]["report"].removeprefix("document://"),
        packages=packages,
    )


IN_PATH: dict[str, Callable[[Things, str], str]] = {
    "org": lambda things, _path: str(things.owner.org["id"]),
    "user": lambda things, _path: things.user,
    "invitation": lambda things, _path: things.invitation,
    "token": lambda things, _path: things.token,
    "application": lambda things, _path: str(things.owner.application["id"]),
    "scope": lambda things, path: things.package(path).split("/")[0],
    "name": lambda things, path: things.package(path).split("/")[1],
    "package": lambda things, path: quote(things.package(path), safe="@"),
    "version": lambda _things, _path: VERSION,
    "tag": lambda _things, _path: "beta",
    "run": lambda things, _path: things.run,
    "document": lambda things, _path: things.document,
    "file": lambda _things, _path: "data.csv",
    "schedule": lambda things, _path: things.schedule,
    "key": lambda things, _path: things.key,
    "credential": lambda things, _path: things.credential,
    "model": lambda things, _path: things.model,
    "memory": lambda things, _path: things.memory,
    "slot": lambda things, _path: things.slot,
    "webhook": lambda things, _path: things.webhook,
    "delivery": lambda things, _path: things.delivery,
    "notification": lambda things, _path: things.notification,
    "end_user": lambda things, _path: things.end_user,
    # Of the platform, which no organization administers.
    "job": lambda _things, _path: "1",
}

# What stands for the parameters that a query must have.
IN_QUERY = {"path": "manifest.json"}

# What a route is sent, where its type does not tell: by method and path.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/agents/{scope}/{name}/schedules"): {"cron_expression": "@yearly"},
    ("POST", "/api/schedules/preview"): {"cron_expression": "@yearly"},
}


def body_of(route: Route) -> Any:
    """A body that a route's decoder takes; None for a route without one."""
    if route.body is None:
        return None
    known = BODIES.get((route.method, route.path))
    return _example(msgspec.inspect.type_info(route.body)) if known is None else known


def _example(kind: msgspec.inspect.Type) -> Any:
    """The smallest document of a type."""
    match kind:
        case msgspec.inspect.StructType():
            return {f.encode_name: _example(f.type) for f in kind.fields if f.required}
        case msgspec.inspect.UnionType():
            return None if kind.includes_none else _example(kind.types[0])
        case msgspec.inspect.StrType():
            return "x" * (kind.min_length or 1)
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return kind.ge or 1
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.LiteralType():
            return kind.values[0]
        case msgspec.inspect.DictType():
            return {}
        case msgspec.inspect.ListType():
            return []
        case msgspec.inspect.NoneType() | msgspec.inspect.AnyType():
            return None
        case _:
            raise AssertionError(f"add an example of {kind} here, or a body to BODIES")


def _archives(scope: str) -> dict[str, bytes]:
    server = {
        "name": f"{scope}/server",
        "version": VERSION,
        "type": "mcp-server",
        "manifest_version": "0.3",
        "server": {"type": "node", "entry_point": "index.js"},
    }
    token = {"type": "oauth2", "issuer": "https://id.example", "authorized_uris": ["https://a/**"]}
    integration = {
        "name": f"{scope}/service",
        "version": VERSION,
        "type": "integration",
        "source": {"kind": "none"},
        "auths": {"primary": token},
    }
    return {
        "skills": skill_archive(skill_manifest(f"{scope}/tone")),
        "mcp-servers": archive({"manifest.json": json.dumps(server), "index.js": "//"}),
        "integrations": archive({"manifest.json": json.dumps(integration)}),
    }
