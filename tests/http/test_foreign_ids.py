"""Ids of another organization in a body are as unknown as in a path.

A route whose body has a new field for an id needs a line in `BODIES`, or in `NOT_OURS` when the id
is no row of an organization.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from appstrate.boot import Server
from appstrate.http.routes import every_route
from support.api import Api, Json, new_owner
from support.fake_model import FakeModel
from support.foreign import Things, new_things
from support.packages import agent_manifest

MODELS, CREDENTIALS = "/api/models", "/api/model-provider-credentials"
AGENT, INSTALLED = "/api/agents/{scope}/{name}", "/api/applications/{application}/packages"
RUNS = "/api/runs"
WEBHOOKS = "/api/webhooks"
HOOK: Json = {"level": "org", "url": "https://example.com/", "events": ["run.success"]}
INLINE: Json = {"manifest": agent_manifest("@inline/x"), "prompt": "Do it."}

# Method, route, field, and the body with the id of somebody else's thing in it.
BODIES: list[tuple[str, str, str, Callable[[Things], Json]]] = [
    ("POST", MODELS, "credentialId", lambda t: {"modelId": "x", "credentialId": t.credential}),
    (
        *("POST", f"{MODELS}/seed", "credentialId"),
        lambda t: {"modelIds": ["x"], "credentialId": t.credential},
    ),
    (
        *("POST", f"{MODELS}/test", "credentialId"),
        lambda t: {"modelId": "x", "credentialId": t.credential},
    ),
    (
        *("POST", f"{CREDENTIALS}/test", "existingKeyId"),
        lambda t: {
            "apiShape": "openai-completions",
            "baseUrl": "https://api.openai.com/v1",
            "existingKeyId": t.credential,
        },
    ),
    ("PUT", f"{MODELS}/default", "modelId", lambda t: {"modelId": t.model}),
    ("PUT", f"{AGENT}/model", "modelId", lambda t: {"modelId": t.model, "generation": {}}),
    ("PUT", f"{AGENT}/skills", "skillIds", lambda t: {"skillIds": [t.packages["skills"]]}),
    ("POST", f"{AGENT}/run", "modelId", lambda t: {"modelId": t.model}),
    ("POST", f"{AGENT}/run", "rerun_from", lambda t: {"rerun_from": t.run}),
    ("POST", f"{RUNS}/inline", "modelId", lambda t: INLINE | {"modelId": t.model}),
    ("POST", f"{RUNS}/inline/validate", "modelId", lambda t: INLINE | {"modelId": t.model}),
    (
        *("POST", f"{RUNS}/remote", "applicationId"),
        lambda t: {
            "source": {"kind": "inline"} | INLINE,
            "applicationId": t.owner.application["id"],
        },
    ),
    ("POST", INSTALLED, "packageId", lambda t: {"packageId": t.packages["agents"]}),
    (
        *("POST", WEBHOOKS, "applicationId"),
        lambda t: HOOK | {"level": "application", "applicationId": t.owner.application["id"]},
    ),
    ("POST", WEBHOOKS, "packageId", lambda t: HOOK | {"packageId": t.packages["agents"]}),
    ("PUT", f"{INSTALLED}/{{scope}}/{{name}}", "modelId", lambda t: {"modelId": t.model}),
]
NOT_OURS = {
    ("POST", "/api/end-users", "externalId"),  # the application's own, as in the next
    ("PATCH", "/api/end-users/{end_user}", "externalId"),
    ("POST", CREDENTIALS, "providerId"),  # of the registry
    ("POST", MODELS, "modelId"),  # the provider's name of a model, as in the next three
    ("PUT", f"{MODELS}/{{model}}", "modelId"),
    ("POST", f"{MODELS}/seed", "modelIds"),
    ("POST", f"{MODELS}/test", "modelId"),
    ("POST", f"{MODELS}/test", "existingModelId"),
    ("PUT", f"{MODELS}/{{model}}", "credentialId"),  # has a test of its own, as the next
    ("PUT", f"{WEBHOOKS}/{{webhook}}", "packageId"),
    ("PUT", f"{INSTALLED}/{{scope}}/{{name}}", "version_id"),  # numbers within the package
    ("PUT", f"{INSTALLED}/{{scope}}/{{name}}", "proxyId"),  # nothing but "none" is taken
    ("POST", f"{AGENT}/run", "proxyId"),
    ("PUT", f"{AGENT}/proxy", "proxyId"),
    ("POST", f"{RUNS}/inline", "proxyId"),
    ("POST", f"{RUNS}/inline/validate", "proxyId"),
}
# What the contract calls a thing that is not there, where it is not `not_found`.
CALLED = {
    f"{AGENT}/skills": (400, "missing_skill"),
    f"{RUNS}/inline/validate": (400, "validation_failed"),  # with every problem at once
}


@pytest.fixture(scope="module")
async def things(server: Server, fake: FakeModel) -> Things:
    return await new_things(await new_owner(server.url), fake)


@pytest.fixture(scope="module")
async def stranger(server: Server) -> Api:
    return await new_owner(server.url)


def _fields() -> set[tuple[str, str, str]]:
    """Every field for an id in the body of a route; those that take nothing yet are none."""
    found: set[tuple[str, str, str]] = set()
    for route in every_route():
        kind: Any = msgspec.inspect.type_info(route.body)
        for field in getattr(kind, "fields", ()):
            named = field.encode_name.endswith(("Id", "Ids", "_id", "_ids", "_from"))
            if named and not isinstance(field.type, msgspec.inspect.NoneType):
                found.add((route.method, route.path, field.encode_name))
    return found


CASES = [case for case in BODIES if case[:3] in _fields()]


def test_every_field_for_an_id_is_covered() -> None:
    assert _fields() <= {case[:3] for case in BODIES} | NOT_OURS


@pytest.mark.parametrize("case", CASES, ids=[" ".join(case[:3]) for case in CASES])
async def test_what_a_body_names_must_be_ones_own(
    case: tuple[str, str, str, Callable[[Things], Json]], things: Things, stranger: Api
) -> None:
    method, path, _, body = case
    where = {
        "scope": stranger.scope,
        "name": "hello-world",
        "application": stranger.application["id"],
    }
    answer = await stranger.request(method, path.format(**where), json=body(things))

    assert (answer.status, answer.code) == CALLED.get(path, (404, "not_found")), answer.body


async def test_a_model_is_not_moved_to_somebody_elses_credential(
    things: Things, stranger: Api, fake: FakeModel
) -> None:
    own = await stranger.new_model(fake, "own")
    answer = await stranger.put(f"{MODELS}/{own['id']}", {"credentialId": things.credential})

    assert answer.status == 404, answer.body


async def test_a_webhook_is_not_narrowed_to_somebody_elses_agent(
    things: Things, stranger: Api
) -> None:
    own = (await stranger.post(WEBHOOKS, HOOK)).json["id"]
    answer = await stranger.put(f"{WEBHOOKS}/{own}", {"packageId": things.packages["agents"]})

    assert answer.status == 404, answer.body
