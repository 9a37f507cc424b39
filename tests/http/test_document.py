import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from appstrate.boot import Server
from appstrate.http.call import Call, Route, Scope
from appstrate.http.descriptions import FIELDS
from appstrate.http.openapi import UndescribedError, document, plain_path
from appstrate.http.routes import every_route
from support.api import Api, Json

WRITE = """
import sys
from appstrate.http.descriptions import FIELDS
from appstrate.http.openapi import document
from appstrate.http.routes import every_route
sys.stdout.buffer.write(document(every_route(), "1"))
"""


@pytest.fixture
async def described(server: Server) -> Json:
    return dict((await Api(server.url).get("/api/openapi.json")).json)


async def _vague(_: Call) -> Any:
    """Answer something."""


async def _mute(_: Call) -> dict[str, Any]:
    """Answer something."""
    return {}


@pytest.mark.parametrize("handler", [_vague, _mute])
def test_an_answer_nobody_can_tell_is_named(handler: Any) -> None:
    route = Route(method="GET", path="/api/fog", handler=handler, scope=Scope.SESSION)

    with pytest.raises(UndescribedError, match="GET /api/fog: annotate what"):
        document([route], "1")


async def test_the_document_has_every_route_of_the_api(described: Json) -> None:
    told = {(method.upper(), path) for path, by in described["paths"].items() for method in by}

    assert described["openapi"] == "3.1.0"
    routes = [route for route in every_route() if route.path != "/claim"]  # a page for people
    assert {(route.method, plain_path(route.path)) for route in routes} <= told
    assert {("GET", "/health"), ("GET", "/api/openapi.json")} <= told


async def test_operations_have_names_of_their_own(described: Json) -> None:
    ids = [each["operationId"] for by in described["paths"].values() for each in by.values()]

    assert len(ids) == len(set(ids))
    assert {"run_agent", "list_packages_skills", "read_document"} <= set(ids)


async def test_an_operation_is_told_whole(described: Json) -> None:
    run = described["paths"]["/api/agents/{scope}/{name}/run"]["post"]
    named = [each.get("name") or each["$ref"].rpartition("/")[2] for each in run["parameters"]]

    assert run["summary"].startswith("Launch a run")
    assert run["tags"] == ["launches"]
    assert "`agents:run`" in run["description"]
    assert named[:3] == ["scope", "name", "version"]
    assert {"X-Org-Id", "X-Application-Id", "Idempotency-Key"} <= set(named)
    assert run["security"] == [{"session": []}, {"apiKey": []}]
    assert run["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("/Run")
    assert set(run["responses"]) == {
        *("201", "400", "401", "403", "404", "408", "409", "412", "413", "422", "429", "500", "503")
    }
    assert "startedAt" not in described["components"]["schemas"]["Run"]["properties"]
    assert "packageId" in described["components"]["schemas"]["Run"]["properties"]


async def test_a_refusal_is_told_with_its_codes_and_headers(described: Json) -> None:
    def of(method: str, path: str, status: str) -> Json:
        name = described["paths"][path][method]["responses"][status]["$ref"].rpartition("/")[2]
        return dict(described["components"]["responses"][name])

    refused = of("post", "/api/runs/{run}/cancel", "409")
    limited = of("post", "/api/models/test", "429")

    assert "`not_cancellable`" in refused["description"]
    assert "`idempotency_in_progress`" in refused["description"]
    assert list(refused["content"]) == ["application/problem+json"]
    assert set(refused["headers"]) == {"Request-Id", "Appstrate-Version"}
    assert set(limited["headers"]) - set(refused["headers"]) == {
        *("Retry-After", "RateLimit", "RateLimit-Policy")
    }
    challenge = of("get", "/api/runs", "401")["headers"]["WWW-Authenticate"]
    assert described["components"]["headers"][challenge["$ref"].rpartition("/")[2]]["required"]


async def test_no_answer_is_left_open(described: Json) -> None:
    for by_method in described["paths"].values():
        for operation in by_method.values():
            assert all(status.isdigit() for status in operation["responses"])


async def test_bodies_that_are_no_json_are_told(described: Json) -> None:
    upload = described["paths"]["/api/packages/import"]["post"]["requestBody"]["content"]
    stream = described["paths"]["/api/realtime/runs/{run}"]["get"]["responses"]["200"]["content"]

    assert upload["multipart/form-data"]["schema"]["required"] == ["file"]
    assert list(stream) == ["text/event-stream"]


async def test_every_reference_leads_somewhere(described: Json) -> None:
    text = json.dumps(described)
    for part in text.split('"$ref": "')[1:]:
        target: Any = described
        for step in part.partition('"')[0].removeprefix("#/").split("/"):
            target = target[step]
        assert target


async def test_a_client_that_has_the_document_is_told_so(server: Server) -> None:
    api = Api(server.url)
    first = await api.get("/api/openapi.json")
    tag = first.headers["Etag"]
    same = await api.get("/api/openapi.json", headers={"If-None-Match": f'"odd", W/{tag}'})
    other = await api.get("/api/openapi.json", headers={"If-None-Match": '"odd"'})

    assert first.headers["Content-Type"].startswith("application/json")
    assert (same.status, same.body, same.headers["Etag"]) == (304, b"", tag)
    assert (other.status, other.body) == (200, first.body)


def test_the_document_is_the_same_in_every_process() -> None:
    written = {
        subprocess.run(
            [sys.executable, "-c", WRITE],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(written) == 1


async def test_the_page_loads_nothing_from_elsewhere(server: Server) -> None:
    api = Api(server.url)
    page = await api.get("/api/docs")
    text = page.body.decode()
    parts = re.findall(r'(?:src|href)="(docs/[^"]+)"', text)

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert sorted(parts) == ["docs/docs.css", "docs/docs.js"]
    for part in parts:
        answer = await api.get(f"/api/{part}")
        assert answer.status == 200
        assert b"http://" not in answer.body + page.body
        assert b"https://" not in answer.body + page.body
    # What the policy would block, nobody wrote.
    assert "<style" not in text
    assert not re.search(r"<script(?! src)", text)
    assert not re.search(r"\son\w+=|\sstyle=", text)


async def test_every_parameter_says_what_it_is(described: Json) -> None:
    known = described["components"]["parameters"]
    for path, by_method in described["paths"].items():
        for operation in by_method.values():
            for given in operation["parameters"]:
                told = known[given["$ref"].rpartition("/")[2]] if "$ref" in given else given
                assert told["description"], (path, told["name"])


async def test_what_is_said_of_fields_is_said_of_fields_there_are(described: Json) -> None:
    schemas = described["components"]["schemas"]
    fields = {
        name
        for schema, told in schemas.items()
        for field in told.get("properties", {})
        for name in (field, f"{schema}.{field}")
    }

    assert set(FIELDS) <= fields
    assert "IANA" in schemas["ScheduleSpec"]["properties"]["timezone"]["description"]


async def test_the_document_begins_with_how_to_come_in(described: Json) -> None:
    about = described["info"]["description"]

    assert all(f"`{name}`" in about for name in ("X-Org-Id", "X-Application-Id", "Appstrate-User"))


async def test_the_page_can_send_every_kind_of_body(described: Json, server: Server) -> None:
    script = (await Api(server.url).get("/api/docs/docs.js")).body.decode()
    bodies = {
        kind
        for by_method in described["paths"].values()
        for operation in by_method.values()
        for kind in operation.get("requestBody", {}).get("content", {})
    }

    assert all(f'content["{kind}"]' in script for kind in bodies)


async def test_who_lands_on_the_server_finds_the_page(server: Server) -> None:
    home = await Api(server.url).get("/")

    assert b'href="/api/docs"' in home.body
