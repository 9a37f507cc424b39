import asyncio
import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from yarl import URL

from actors.addresses import Addresses
from actors.runs import Identity, Places
from adapters.local.sandbox import Sandbox
from appstrate.boot import Server, serving
from appstrate.http.routes import every_route
from appstrate.settings import Settings, read_settings
from appstrate.tiers import Plan, plan
from support.api import Api


async def test_every_answer_names_its_request_and_the_version(server: Server) -> None:
    api = Api(server.url)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answers = [
        await api.get("/health", headers={"Request-Id": "mine", "traceparent": trace}),
        await api.get("/api/nothing"),
    ]

    for answer in answers:
        assert answer.headers["Request-Id"].startswith("req_")
        assert answer.headers["Appstrate-Version"] == "2026-03-21"
        assert answer.headers["Server"] == "Appstrate"
    assert answers[0].headers["traceparent"] == trace
    assert "traceparent" not in answers[1].headers


async def test_what_is_somebodys_is_kept_by_no_cache_and_taken_for_nothing_else(
    owner: Api,
) -> None:
    mine, public = await owner.get("/api/runs"), await owner.get("/health")

    assert mine.headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in public.headers
    for answer in (mine, public, await owner.get("/api/nothing")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_refusal_is_a_problem_document(server: Server) -> None:
    answer = await Api(server.url).get("/api/nothing")
    problem = answer.json

    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem == {
        "type": "https://docs.appstrate.dev/errors/not-found",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no such path",
        "instance": f"urn:appstrate:request:{answer.headers['Request-Id']}",
        "code": "not_found",
        "requestId": answer.headers["Request-Id"],
    }


async def test_the_wrong_method_is_told_so(server: Server) -> None:
    answer = await Api(server.url).delete("/api/orgs")

    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET,HEAD,POST"


async def test_a_head_is_an_answer_without_its_body(owner: Api) -> None:
    for path in ("/api/runs", "/api/openapi.json", "/health"):
        head, full = await owner.request("HEAD", path), await owner.get(path)
        assert (head.status, head.body) == (full.status, b"")
        assert head.headers["Content-Type"] == full.headers["Content-Type"]
    assert (await owner.request("HEAD", "/api/runs/none")).status == 404
    assert (await owner.request("HEAD", "/api/realtime/runs/none")).status == 405


@pytest.mark.parametrize(
    ("version", "code"),
    [
        ("2026-03-21", None),
        ("2026-03-22", "unsupported_api_version"),
        ("1999-01-01", "unsupported_api_version"),
        ("latest", "invalid_api_version"),
        ("2026-3-21", "invalid_api_version"),
        ("\u0662026-03-21", "invalid_api_version"),
    ],
)
async def test_a_request_may_name_its_version(owner: Api, version: str, code: str | None) -> None:
    answer = await owner.get("/api/orgs", headers={"Appstrate-Version": version})

    assert answer.status == (200 if code is None else 400)
    assert answer.headers["Appstrate-Version"] == "2026-03-21"
    if code is not None:
        assert (answer.code, answer.json["param"]) == (code, "Appstrate-Version")


async def test_without_credentials_the_challenge_is_bare(server: Server) -> None:
    answer = await Api(server.url).get("/api/orgs")

    assert (answer.status, answer.code) == (401, "authentication_required")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_body_over_the_cap_is_refused(owner: Api) -> None:
    agent = await owner.new_agent("fat")
    big = json.dumps({"input": {"x": "y" * (11 * 2**20)}}).encode()

    async def chunked() -> AsyncIterator[bytes]:
        yield big

    path = f"/api/agents/{agent}/run"
    declared = await owner.request("POST", path, data=io.BytesIO(big))
    streamed = await owner.request("POST", path, data=chunked())

    assert (declared.status, declared.code) == (413, "payload_too_large")
    assert (streamed.status, streamed.code) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (rb'{"name": "a\u0000b"}', "validation_failed"),
        (b'{"name": ' + b"[" * 200 + b"]" * 200 + b"}", "validation_failed"),
        (b'{"name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "validation_failed"),
        (b'{"name": [' + b"[]," * 500_000 + b"[]]}", "validation_failed"),
        (b'{"name": "\xff"}', "invalid_request"),
        (rb'{"name": "\ud800"}', "invalid_request"),
    ],
)
async def test_what_nobody_could_read_or_keep_is_refused(
    owner: Api, body: bytes, code: str
) -> None:
    answer = await owner.request("POST", "/api/orgs", data=io.BytesIO(body))

    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize("path", ["/api/packages/agents/%00", "/api/runs?user=%00", "/%00"])
async def test_no_url_carries_nul_characters(owner: Api, path: str) -> None:
    answer = await owner.get(URL(owner.url + path, encoded=True))

    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_a_body_of_another_kind_names_no_field(owner: Api) -> None:
    answer = await owner.post("/api/orgs", [])

    assert (answer.status, answer.fields) == (400, {"": "invalid_type"})


async def test_a_body_too_large_is_refused_before_anybody_asks_whose_it_is(server: Server) -> None:
    answer = await Api(server.url).request("POST", "/api/orgs", data=io.BytesIO(b"x" * 11 * 2**20))

    assert (answer.status, answer.code) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/auth/sign-in/email", "application/json"),
        ("/api/auth/bootstrap/redeem", "application/json"),
        ("/claim", "application/x-www-form-urlencoded"),
    ],
)
async def test_nobody_holds_the_server_up_with_a_long_body_without_signing_in(
    server: Server, path: str, kind: str
) -> None:
    async def streamed() -> AsyncIterator[bytes]:
        yield b'{"email": "a@x.org"}' + b"&" * 2**16

    headers = {"Content-Type": kind}
    answer = await Api(server.url).request("POST", path, data=streamed(), headers=headers)

    assert (answer.status, answer.code) == (413, "payload_too_large")


async def test_an_odd_number_in_a_query_is_the_default(owner: Api) -> None:
    for odd in ("9" * 5000, "-1", "x", "1e3", "\u0663"):
        assert (await owner.get(f"/api/runs?limit={odd}")).status == 200


async def test_names_that_are_not_known_come_back_in_a_header_that_holds(owner: Api) -> None:
    slug = f"acme-{uuid4().hex[:12]}"
    answer = await owner.post("/api/orgs", {"name": "X", "slug": slug, "a\r\nX-Evil: 1\u20ac": 1})

    assert answer.status == 201
    assert answer.headers["X-Ignored-Fields"] == "a%0D%0AX-Evil%3A%201%E2%82%AC"


async def test_a_hundred_names_that_are_not_known_are_told_at_most(owner: Api) -> None:
    slug = f"acme-{uuid4().hex[:12]}"
    many = {f"n{n}": 1 for n in range(150)}
    answer = await owner.post("/api/orgs", {"name": "X", "slug": slug} | many)

    assert answer.status == 201
    assert len(answer.headers["X-Ignored-Fields"].split(", ")) == 100


async def test_a_header_that_is_no_text_is_refused(server: Server) -> None:
    url = URL(server.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"GET /api/orgs HTTP/1.1\r\nHost: x\r\nX-Org-Id: \xff\r\nConnection: close\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()

    assert b"400 Bad Request" in answer
    assert b"X-Org-Id is not UTF-8" in answer


async def test_lists_have_one_envelope(owner: Api) -> None:
    for path in ("/api/orgs", "/api/agents", "/api/models", "/api/runs", "/api/api-keys"):
        answer = await owner.get(path)
        assert answer.json["object"] == "list", path
        assert answer.json["hasMore"] is False
        assert "Link" in answer.headers


async def test_health_names_each_part(server: Server) -> None:
    health = (await Api(server.url).get("/health")).json

    assert health["status"] == "healthy"
    assert health["version"]["app"]
    assert health["checks"]["database"]["status"] == "healthy"
    assert health["checks"]["actors"]["storage"] == {"status": "running"}
    assert health["uptime_ms"] > 0


async def test_the_home_page_says_where_one_is(server: Server) -> None:
    answer = await Api(server.url).get("/")
    text = answer.body.decode()

    assert answer.headers["Content-Type"].startswith("text/html")
    assert "tier 0" in text
    assert "because DATABASE_URL is not set" in text
    assert "healthy" in text
    assert "appstrate run" in text
    policy = answer.headers["Content-Security-Policy"]
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_the_gate_is_closed_until_everything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port answers during boot, with 503 and a time to come back."""
    settings = read_settings({"DATA_DIR": str(tmp_path), "PORT": "0", "APP_ENV": "test"})
    seen: list[tuple[str, int, str, str]] = []
    looking: list[asyncio.Task[None]] = []

    def spying(
        given: Settings,
        at: Addresses,
        identity: Identity,
        places: Places,
        sandbox: Callable[[], Awaitable[Sandbox]],
    ) -> Plan:
        # Called when the ports are bound and no actor runs yet.
        async def look() -> None:
            api = Api(places.platform_url)
            for path in ("/health", "/api/orgs"):
                answer = await api.get(path)
                told = str(answer.json.get("code") or answer.json["status"])
                seen.append((path, answer.status, told, answer.headers.get("Retry-After", "")))

        looking.append(asyncio.create_task(look()))
        return plan(given, at, identity, places, sandbox)

    monkeypatch.setattr("appstrate.boot.plan", spying)
    async with serving(settings) as server:
        assert (await Api(server.url).get("/health")).status == 200
    await looking[0]

    assert seen == [("/health", 503, "starting", ""), ("/api/orgs", 503, "starting", "1")]


def test_no_two_routes_are_the_same() -> None:
    routes = [(route.method, route.path) for route in every_route()]

    assert len(routes) == len(set(routes))
