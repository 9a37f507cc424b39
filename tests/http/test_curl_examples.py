"""The central path and the worked examples of the API, as somebody types them with curl."""

import asyncio
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from appstrate.boot import Server
from support.api import Answer
from support.fake_model import FakeModel, Say
from support.packages import agent_archive, agent_manifest, typed_agent_manifest

Json = dict[str, Any]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")

RUN_FIELDS = {
    *("id", "packageId", "userId", "endUserId", "apiKeyId", "orgId", "applicationId"),
    *("scheduleId", "status", "input", "result", "artifacts", "checkpoint", "error", "metadata"),
    *("started_at", "completed_at", "duration", "cost", "cost_pricing_status", "runNumber"),
    *("token_usage", "version_label", "version_ref", "proxy_label", "model_label", "model_source"),
    *("generation", "generation_override", "runner_name", "runner_kind", "agent_scope"),
    *("agent_name", "runOrigin", "contextSnapshot", "modelCredentialId", "connection_overrides"),
    *("dependency_overrides", "user_name", "end_user_name", "api_key_name", "schedule_name"),
    *("connections_used", "unread", "document_counts", "primary_document_id"),
}
LINE_FIELDS = {"id", "runId", "orgId", "type", "level", "event", "message", "data", "createdAt"}


@dataclass
class Shell:
    """A folder to type curl commands in, with variables for what earlier answers told."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    async def __call__(self, command: str) -> Answer:
        """Run `curl …` as it stands; the answer is the last response's."""
        if " -m " not in command:
            command += " -m 60"
        line = f"{command} --silent --show-error --dump-header head --output body"
        process = await asyncio.create_subprocess_shell(
            f"{line} --write-out '%{{http_code}}'",
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **self.variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, complaint = await process.communicate()
        assert process.returncode in (0, 28), complaint  # 28: the time was up, as with a stream
        heads = (self.folder / "head").read_text().strip().split("\n\n")
        pairs = [line.partition(": ") for line in heads[-1].splitlines()[1:]]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return Answer(int(told), headers, (self.folder / "body").read_bytes())

    def file(self, name: str, content: bytes) -> None:
        """Put a file into the folder."""
        (self.folder / name).write_bytes(content)


@pytest.fixture
def curl(server: Server, tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"URL": server.url})


async def signed_up(curl: Shell) -> None:
    """Call 1: an account with an organization, its cookie in `jar`."""
    slug = f"acme-{uuid4().hex[:12]}"
    curl.variables |= {"SLUG": slug, "MAIL": f"{slug}@example.com"}
    made = await curl(
        "curl -X POST $URL/api/auth/sign-up/email -c jar -H 'Content-Type: application/json' "
        """-d "{\\"email\\":\\"$MAIL\\",\\"password\\":\\"correct horse\\","""
        """\\"name\\":\\"Ada\\"}" """
    )
    assert made.status == 200, made.body
    org = await curl(
        "curl -X POST $URL/api/orgs -b jar -H 'Content-Type: application/json' "
        """-d "{\\"name\\":\\"Acme\\",\\"slug\\":\\"$SLUG\\"}" """
    )
    assert org.status == 201, org.body
    curl.variables["ORG"] = org.json["id"]
    found = await curl('curl $URL/api/applications -b jar -H "X-Org-Id: $ORG"')
    [application] = found.json["data"]
    assert (application["object"], application["isDefault"]) == ("application", True)
    curl.variables["APP"] = application["id"]
    curl.variables["AS"] = f"X-Org-Id: {org.json['id']}"
    curl.variables["IN"] = f"X-Application-Id: {application['id']}"


async def test_the_central_path_in_eight_calls(curl: Shell, fake: FakeModel) -> None:
    name = fake.script(
        f"curl-{uuid4().hex}",
        Say("", {"log": {"level": "info", "message": "half way"}}),
        Say("", {"output": {"data": {"summary": "all is well"}}}),
    )
    await signed_up(curl)
    me = 'curl -b jar -H "$AS" -H "$IN" -H "Content-Type: application/json"'

    # 2: a provider's key, and a model of it.
    curl.variables |= {"MODEL": name, "PROVIDER": fake.url}
    credential = await curl(
        f"{me} -X POST $URL/api/model-provider-credentials -d "
        """"{\\"providerId\\":\\"openai-compatible\\",\\"apiKey\\":\\"sk-real\\","""
        """\\"baseUrlOverride\\":\\"$PROVIDER/v1\\"}" """
    )
    assert credential.status == 201, credential.body
    assert "sk-real" not in credential.body.decode()
    curl.variables["CREDENTIAL"] = credential.json["id"]
    await curl(f"{me} -X POST $URL/api/model-provider-credentials/$CREDENTIAL/refresh-models")
    seeded = await curl(
        f"{me} -X POST $URL/api/models/seed -d "
        """"{\\"credentialId\\":\\"$CREDENTIAL\\",\\"modelIds\\":[\\"$MODEL\\"]}" """
    )
    assert seeded.status == 201, seeded.body
    assert (seeded.json["created"], seeded.json["promotedDefault"]) == (1, True)

    # 3: an agent from a file.
    agent = f"@{curl.variables['SLUG']}/report"
    curl.variables["AGENT"] = agent
    curl.file("report.afps", agent_archive(typed_agent_manifest(agent, version="1.4.0")))
    imported = await curl(
        'curl -b jar -H "$AS" -H "$IN" -X POST $URL/api/packages/import -F file=@report.afps'
    )
    assert imported.status == 201, imported.body
    assert imported.json == {"packageId": agent, "type": "agent", "version": "1.4.0"}

    # 4: what its runs have in common.
    settings = await curl(
        f"{me} -X PUT $URL/api/agents/$AGENT/input-settings "
        """-d '{"values":{"pages":2},"locked_fields":["pages"]}'"""
    )
    assert settings.json == {"values": {"pages": 2}, "locked_fields": ["pages"]}
    chosen = await curl(
        f"{me} -X PUT $URL/api/agents/$AGENT/model "
        """-d '{"modelId":null,"generation":{"temperature":0.2}}'"""
    )
    assert chosen.status == 200, chosen.body

    # 8, first half: a key; 5 and 6 with it.
    made = await curl(f"""{me} -X POST $URL/api/api-keys -d '{{"name":"curl"}}'""")
    assert made.status == 201
    assert set(made.json) == {"id", "key", "keyPrefix", "scopes"}
    curl.variables["KEY"] = made.json["key"]
    for caller in (me, 'curl -H "Authorization: Bearer $KEY"'):
        await run_and_read(curl, caller, made.json["id"] if caller != me else None)
    await automate(curl, me)


async def run_and_read(curl: Shell, caller: str, key: str | None) -> None:
    """Calls 5 and 6, with the examples of what they answer."""
    launched = await curl(
        f"{caller} -X POST $URL/api/agents/$AGENT/run -H 'Idempotency-Key: {uuid4()}' "
        """-d '{"input":{"topic":"churn"}}'"""
    )
    run = launched.json
    assert launched.status == 201, launched.body
    assert run.keys() >= RUN_FIELDS
    assert launched.headers["request-id"].startswith("req_")
    told: Json = {
        "packageId": curl.variables["AGENT"],
        "status": "pending",
        "runOrigin": "platform",
        "input": {"topic": "churn", "pages": 2},
        **dict.fromkeys(("result", "error", "cost", "token_usage", "completed_at", "duration")),
        "version_label": "1.4.0",
        "version_ref": "1.4.0",
        "model_source": "org",
        "endUserId": None,
        "apiKeyId": key,
        "orgId": curl.variables["ORG"],
        "applicationId": curl.variables["APP"],
        "scheduleId": None,
        "unread": False,
        "document_counts": {"input": 0, "output": 0},
        "primary_document_id": None,
        "generation": {"temperature": 0.2, "reasoningLevel": None},
    }
    assert {name: run[name] for name in told} == told
    assert run["id"].startswith("run_")
    curl.variables["RUN"] = run["id"]
    await read_stream(curl)
    ended = await curl(f"{caller} '{curl.variables['URL']}/api/runs/{run['id']}?wait=true'")
    assert (ended.json["status"], ended.json["id"]) == ("success", run["id"])
    assert ended.json["result"] == {"output": {"summary": "all is well"}}
    assert ended.json["duration"] >= 0
    await read_log(curl, caller)


async def automate(curl: Shell, caller: str) -> None:
    """Calls 7 and 8: a schedule, as the example has it, and a webhook."""
    made = await curl(
        f"{caller} -X POST $URL/api/agents/$AGENT/schedules -d "
        """'{"name":"Monday","cron_expression":"0 7 * * 1","timezone":"Europe/Paris","""
        """"input":{"topic":"week"}}'"""
    )
    told = {
        "name": "Monday",
        "enabled": True,
        "last_run_at": None,
        "actor_type": "user",
        **dict.fromkeys(("running_runs", "unread_count", "last_run_number"), 0),
    }
    assert made.status == 201, made.body
    assert {name: made.json[name] for name in told} == told
    assert made.json["id"].startswith("sched_")
    assert made.json["next_run_at"]
    hook = await curl(
        f"{caller} -X POST $URL/api/webhooks -d "
        """'{"level":"org","url":"http://localhost:9/hook","events":["run.success"],"""
        """"payloadMode":"full"}'"""
    )
    assert hook.status == 201, hook.body
    assert hook.json["secret"].startswith("whsec_")


async def read_stream(curl: Shell) -> None:
    """A few seconds of the stream: frames with an event, an id and data."""
    stream = await curl('curl -N -m 4 "$URL/api/realtime/runs/$RUN?token=$KEY"')
    assert stream.headers["content-type"].startswith("text/event-stream")
    frames = [
        dict(line.partition(": ")[::2] for line in frame.splitlines() if ": " in line)
        for frame in stream.body.decode().split("\n\n")
    ]
    assert frames[0]["event"] == "ping"
    updates = [json.loads(f["data"]) for f in frames if f.get("event") == "run_update"]
    assert updates[-1].keys() >= {"operation", "id", "packageId", "status", "startedAt"}
    assert (updates[-1]["id"], updates[-1]["status"]) == (curl.variables["RUN"], "success")
    [metric, *_] = [json.loads(f["data"]) for f in frames if f.get("event") == "run_metric"]
    assert metric.keys() >= {"runId", "tokenUsage", "costSoFar", "costPricingStatus"}


async def read_log(curl: Shell, caller: str) -> None:
    """One page of the log, after a line and from a level on."""
    path = f"{curl.variables['URL']}/api/runs/{curl.variables['RUN']}/logs"
    everything = (await curl(f"{caller} '{path}'")).json["data"]
    page = await curl(f"{caller} '{path}?since={everything[0]['id']}&level=info'")
    lines = page.json["data"]
    assert (page.json["object"], page.json["hasMore"]) == ("list", False)
    assert all(line.keys() >= LINE_FIELDS for line in lines)
    assert lines[0]["id"] > everything[0]["id"]
    [output] = [line for line in lines if line["event"] == "output"]
    assert (output["type"], output["level"], output["message"]) == ("result", "info", None)
    assert output["data"] == {"summary": "all is well"}
    last = lines[-1]
    assert (last["type"], last["event"], last["level"]) == ("system", "run_completed", "info")
    assert last["data"] == {"runId": curl.variables["RUN"], "status": "success"}


async def test_what_is_wrong_is_answered_as_a_problem(curl: Shell) -> None:
    await signed_up(curl)
    agent = f"@{curl.variables['SLUG']}/report"
    curl.variables["AGENT"] = agent
    curl.file("report.afps", agent_archive(agent_manifest(agent)))
    await curl('curl -b jar -H "$AS" -H "$IN" $URL/api/packages/import -F file=@report.afps')
    run = 'curl -b jar -H "$AS" -H "$IN" -X POST $URL/api/agents/$AGENT/run'

    stranger = await curl("curl $URL/api/runs")
    assert (stranger.status, stranger.code) == (401, "authentication_required")
    assert stranger.headers["www-authenticate"] == "Bearer"
    missing = await curl(
        """curl -b jar -H "$AS" -H "$IN" $URL/api/agents/@nobody/nothing/run -d '{}'"""
    )
    assert (missing.status, missing.code) == (404, "agent_not_found")
    broken = await curl(f"""{run} -d '{{"input":'""")
    assert (broken.status, broken.code) == (400, "invalid_request")
    unknown = await curl(f"""{run} -d '{{"inputs":{{}}}}'""")
    assert (unknown.status, unknown.fields) == (400, {"inputs": "unknown_field"})
    curl.file("large.json", b'{"input": "' + b"x" * 11 * 2**20 + b'"}')
    large = await curl(f"{run} -H 'Expect: 100-continue' --data-binary @large.json")
    assert (large.status, large.code) == (413, "payload_too_large")

    problem = (await curl(f"{run} -d '{{}}'")).json
    assert problem.keys() >= {"type", "title", "status", "detail", "instance", "code", "requestId"}
    assert problem["type"] == "https://docs.appstrate.dev/errors/model-not-configured"
    assert problem["instance"] == f"urn:appstrate:request:{problem['requestId']}"


async def test_an_integration_without_a_connection_is_told_item_by_item(curl: Shell) -> None:
    await signed_up(curl)
    agent = f"@{curl.variables['SLUG']}/mailer"
    curl.variables["AGENT"] = agent
    mail = {"integrations": {"@acme/mail": "^1.0.0"}}
    curl.file("mailer.afps", agent_archive(agent_manifest(agent, dependencies=mail)))
    await curl('curl -b jar -H "$AS" -H "$IN" $URL/api/packages/import -F file=@mailer.afps')
    refused = await curl(
        'curl -b jar -H "$AS" -H "$IN" -X POST $URL/api/agents/$AGENT/run '
        """-d '{"modelId":"demo","connection_overrides":{"@acme/mail":"c1"}}'"""
    )
    problem = refused.json

    assert (refused.status, problem["code"]) == (412, "missing_integration_connection")
    assert problem["title"] == "Missing Integration Connection"
    assert problem["type"].endswith("/missing-integration-connection")
    [item] = problem["errors"]
    assert item["field"] == "integrations.@acme/mail"
    assert item.keys() >= {"field", "code", "message"}
