"""A client of the HTTP API, and a user with an organization to call it as."""

import io
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
from yarl import URL

from support.fake_model import FakeModel
from support.packages import agent_manifest
from support.told import is_told

Json = dict[str, Any]
PASSWORD = "correct horse"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["code"])

    @property
    def fields(self) -> dict[str, str]:
        return {item["field"]: item["code"] for item in self.json.get("errors", [])}


def check_told(method: str, path: str, answer: Answer) -> None:
    """Every refusal in every test must be one that the API document tells of."""
    told = is_told(method, path, answer.status, answer.code)
    assert told, f"{method} {path}: tell of {answer.status} {answer.code} in `refuses` of the route"


@dataclass
class Api:
    """Requests as somebody: with a cookie jar of their own, or with a key."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    jar: aiohttp.CookieJar = field(default_factory=lambda: aiohttp.CookieJar(unsafe=True))
    org: Json = field(default_factory=dict)
    application: Json = field(default_factory=dict)
    email: str = ""

    async def request(
        self, method: str, path: str | URL, *, headers: dict[str, str] | None = None, **options: Any
    ) -> Answer:
        merged = self.headers | (headers or {})
        async with (
            aiohttp.ClientSession(cookie_jar=self.jar) as session,
            session.request(
                method,
                self.url + path if isinstance(path, str) else path,
                headers=merged,
                **options,
            ) as response,
        ):
            answer = Answer(response.status, dict(response.headers), await response.read())
        if answer.body and answer.headers["Content-Type"] == "application/problem+json":
            check_told(method, URL(self.url + path if isinstance(path, str) else path).path, answer)
        return answer

    async def get(self, path: str | URL, **options: Any) -> Answer:
        return await self.request("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.request("POST", path, json=body, **options)

    async def put(self, path: str, body: Any) -> Answer:
        return await self.request("PUT", path, json=body)

    async def delete(self, path: str) -> Answer:
        return await self.request("DELETE", path)

    async def upload(
        self, content: bytes, name: str = "package.afps", query: str = "", **options: Any
    ) -> Answer:
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(content), filename=name)
        return await self.request("POST", f"/api/packages/import{query}", data=form, **options)

    @property
    def scope(self) -> str:
        """A package scope that is this organization's alone."""
        return f"@{self.org['slug']}"

    async def with_key(self, **body: Any) -> "Api":
        made = await self.post("/api/api-keys", {"name": "test"} | body)
        assert made.status == 201, made.body
        return Api(self.url, headers={"Authorization": f"Bearer {made.json['key']}"}, org=self.org)

    async def new_agent(self, name: str = "report", prompt: str = "Do it.", **fields: Any) -> str:
        manifest = agent_manifest(f"{self.scope}/{name}", **fields)
        made = await self.post("/api/packages/agents", {"manifest": manifest, "content": prompt})
        assert made.status == 201, made.body
        return str(made.json["id"])

    async def new_model(
        self, fake: FakeModel, name: str, provider: str = "openai-compatible", **fields: Any
    ) -> Json:
        credential = await self.post(
            "/api/model-provider-credentials",
            {"providerId": provider, "apiKey": "sk-real", "baseUrlOverride": fake.url},
        )
        assert credential.status == 201, credential.body
        model = await self.post(
            "/api/models", {"modelId": name, "credentialId": credential.json["id"]} | fields
        )
        assert model.status == 201, model.body
        return dict(model.json)

    async def launch(self, agent: str, body: Json | None = None, query: str = "") -> Answer:
        return await self.post(f"/api/agents/{agent}/run{query}", body or {})

    async def finished(self, agent: str, body: Json | None = None) -> Json:
        """Run an agent to its end."""
        launched = await self.launch(agent, body)
        assert launched.status == 201, launched.body
        return await self.wait(launched.json["id"])

    async def wait(self, run: str) -> Json:
        answer = await self.get(f"/api/runs/{run}?wait=50")
        assert answer.status == 200, answer.body
        return dict(answer.json)

    async def logs(self, run: str) -> list[Json]:
        answer = await self.get(f"/api/runs/{run}/logs")
        return list(answer.json["data"])

    async def walls(self) -> dict[str, bool]:
        """The walls around runs, and whether each stands."""
        health = (await self.get("/health")).json
        return {name: wall["up"] for name, wall in health["checks"]["agents"]["walls"].items()}


async def new_user(url: str) -> Api:
    """Somebody who just signed up."""
    api = Api(url, email=f"{uuid4().hex}@example.com")
    made = await api.post(
        "/api/auth/sign-up/email", {"email": api.email, "password": PASSWORD, "name": "Ada"}
    )
    assert made.status == 200, made.body
    return api


async def new_owner(url: str) -> Api:
    """Somebody with an organization, acting in its default application."""
    api = await new_user(url)
    made = await api.post("/api/orgs", {"name": "Acme", "slug": f"acme-{uuid4().hex[:12]}"})
    assert made.status == 201, made.body
    api.org = made.json
    api.headers["X-Org-Id"] = api.org["id"]
    api.application = (await api.get("/api/applications")).json["data"][0]
    api.headers["X-Application-Id"] = api.application["id"]
    return api


async def colleague(owner: Api, role: str = "admin") -> Api:
    """Another member of the organization, in the same application."""
    other = await new_user(owner.url)
    invited = await owner.post(
        f"/api/orgs/{owner.org['id']}/members", {"email": other.email, "role": role}
    )
    assert invited.status == 201, invited.body
    accepted = await other.post(f"/invite/{invited.json['token']}/accept")
    assert accepted.status == 200, accepted.body
    other.org = owner.org
    other.headers |= owner.headers
    return other
