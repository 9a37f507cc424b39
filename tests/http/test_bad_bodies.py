"""What clients send by mistake or on purpose, and the field the answer names."""

from typing import Any

import pytest

from support.api import Api

DEEP = b'{"name": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}"


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        (b"{", 400, "invalid_request", {}),
        (b'{"name": "x"', 400, "invalid_request", {}),
        (b'{"name": "x",}', 400, "invalid_request", {}),
        (b"{'name': 'x'}", 400, "invalid_request", {}),
        (b'{"name": NaN}', 400, "invalid_request", {}),
        (b'{"name": "x"} {}', 400, "invalid_request", {}),
        (b"\xff\xfe{\x00}\x00", 400, "invalid_request", {}),
        (b"null", 400, "validation_failed", {"": "invalid_type"}),
        (b'"name"', 400, "validation_failed", {"": "invalid_type"}),
        (b"", 400, "validation_failed", {"name": "required"}),
        (b"{}", 400, "validation_failed", {"name": "required"}),
        (b'{"name": null}', 400, "validation_failed", {"name": "invalid_type"}),
        (b'{"name": 7}', 400, "validation_failed", {"name": "invalid_type"}),
        (b'{"name": ["x"]}', 400, "validation_failed", {"name": "invalid_type"}),
        (b'{"name": "x", "scopes": [1]}', 400, "validation_failed", {"scopes[0]": "invalid_type"}),
        (
            b'{"name": "x", "expiresAt": "soon"}',
            400,
            "validation_failed",
            {"expiresAt": "invalid_format"},
        ),
    ],
)
async def test_a_key_cannot_be_made_of(
    owner: Api, body: bytes, status: int, code: str, fields: dict[str, str]
) -> None:
    answer = await owner.request("POST", "/api/api-keys", data=body)

    assert (answer.status, answer.code) == (status, code)
    assert answer.fields == fields
    assert (await owner.get("/api/api-keys")).json["data"] == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"input": []}, {"input": "invalid_type"}),
        ({"nonsense": 1}, {"nonsense": "unknown_field"}),
        ({"modelId": 7}, {"modelId": "invalid_type"}),
    ],
)
async def test_a_launch_names_the_field(owner: Api, body: Any, fields: dict[str, str]) -> None:
    answer = await owner.launch(await owner.new_agent("named"), body)

    assert (answer.status, answer.code) == (400, "validation_failed")
    assert answer.fields == fields
    assert answer.json["param"] == next(iter(fields))


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "modelId is required"),
        (
            {"modelId": None, "x": 1},
            "x is not known here: leave it out, or use one of modelId, generation",
        ),
        ({"modelId": 7}, "modelId must be a string or null, not an integer"),
        ([], "the body must be an object, not a list"),
        (
            {"modelId": None, "generation": {"temperature": 7}},
            "generation.temperature must be at most 1",
        ),
        (
            {"modelId": None, "generation": {"reasoningLevel": "deep"}},
            (
                "generation.reasoningLevel must be one of "
                "high, low, max, medium, minimal, off, xhigh, not 'deep'"
            ),
        ),
    ],
)
async def test_what_is_wrong_is_said_in_a_sentence(owner: Api, body: Any, detail: str) -> None:
    agent = await owner.new_agent("told")
    answer = await owner.put(f"/api/agents/{agent}/model", body)

    assert answer.json["detail"] == detail


async def test_of_fields_sent_twice_the_last_counts(owner: Api) -> None:
    answer = await owner.request("POST", "/api/api-keys", data=b'{"name": "a", "name": "b"}')

    assert answer.status == 201
    assert [key["name"] for key in (await owner.get("/api/api-keys")).json["data"]] == ["b"]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "nonsense", ""])
async def test_json_is_read_whatever_it_calls_itself(owner: Api, kind: str) -> None:
    answer = await owner.request(
        "POST", "/api/api-keys", data=b'{"name": "x"}', headers={"Content-Type": kind}
    )

    assert answer.status == 201


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data"])
async def test_an_upload_is_a_form(owner: Api, kind: str) -> None:
    answer = await owner.request(
        "POST", "/api/packages/import", data=b"PK\x03\x04", headers={"Content-Type": kind}
    )

    assert (answer.status, answer.json["param"]) == (400, "file")


async def test_a_document_without_a_bottom_is_refused(owner: Api) -> None:
    answer = await owner.request("POST", "/api/api-keys", data=DEEP)

    assert (answer.status, answer.code) == (400, "validation_failed")


OF_AGENT = "/api/agents/{agent}"
EMPTY_EVENTS = {"level": "org", "url": "https://a.example", "events": []}


@pytest.mark.parametrize(
    ("request_line", "body", "param", "detail"),
    [
        (
            "POST /api/end-users",
            {"metadata": {"plan": []}},
            "metadata",
            (
                "metadata has a value that must be true or false, a number, a string or null, "
                "not a list"
            ),
        ),
        (
            "POST /api/end-users",
            {"externalId": ""},
            "externalId",
            "externalId must have 1 to 255 characters",
        ),
        (
            "POST /api/end-users",
            {"metadata": {"": "x"}},
            "metadata.",
            "metadata. is too short or too long a key: keys have 1 to 40 characters",
        ),
        (
            f"POST {OF_AGENT}/run?version=9.9.9",
            {},
            "version",
            "no published version of {agent} fits '9.9.9'",
        ),
        (
            f"POST {OF_AGENT}/schedules",
            {"cron_expression": "@daily", "version_override": "9.9.9"},
            "version_override",
            "no published version of {agent} fits '9.9.9'",
        ),
        (
            f"POST {OF_AGENT}/schedules",
            {"cron_expression": "@daily", "actor": {}},
            "actor",
            "actor must have either user_id or end_user_id: the one the schedule runs for",
        ),
        ("POST /api/webhooks", EMPTY_EVENTS, "events", "events must have at least 1 item"),
        (
            "PUT /api/uploads/_content",
            None,
            "token",
            "token is missing or not valid: use the URL as it was given, unchanged",
        ),
    ],
)
async def test_a_mistake_is_told_with_its_field_and_the_way_out(
    owner: Api, request_line: str, body: Any, param: str, detail: str
) -> None:
    agent = await owner.new_agent("told")
    method, _, path = request_line.partition(" ")

    answer = await owner.request(method, path.format(agent=agent), json=body)

    assert (answer.json["param"], answer.json["detail"]) == (param, detail.format(agent=agent))


async def test_a_missing_permission_is_told_with_who_lacks_it(owner: Api) -> None:
    key = await owner.with_key(scopes=["runs:read"])

    answer = await key.get("/api/webhooks")

    told = "this needs the permission webhooks:read, which this API key does not have"
    assert (answer.status, answer.json["detail"]) == (403, told)


async def test_a_key_in_a_foreign_application_is_told_which_header_to_leave_out(owner: Api) -> None:
    key = await owner.with_key(scopes=["runs:read"])

    answer = await key.get("/api/runs", headers={"X-Application-Id": "app_x"})

    assert (answer.status, answer.json["param"]) == (403, "X-Application-Id")
    assert "leave X-Application-Id out" in answer.json["detail"]


async def test_an_input_that_an_agent_does_not_take_is_told_plainly(owner: Api) -> None:
    closed = {"type": "object", "additionalProperties": False}
    schema = closed | {"properties": {"topic": {"type": "string"}}}
    agent = await owner.new_agent("closed", input={"schema": schema})

    answer = await owner.launch(agent, {"input": {"x": 1}})

    assert answer.json.get("param") == "input.x", answer.body
    assert answer.json["detail"] == "input.x is not known here: leave it out"


async def test_a_method_that_a_path_does_not_take_is_told_with_those_it_does(owner: Api) -> None:
    answer = await owner.request("PATCH", "/api/schedules/sched_x", json={})

    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.json["detail"].endswith("only DELETE, GET, HEAD, PUT")
