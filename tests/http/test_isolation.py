"""What belongs to one organization is not there for another: every route, by session and by key.

Routes are taken from the application itself. A new path parameter without a line in
`support.foreign.IN_PATH` fails here.
"""

import re
from urllib.parse import urlencode

import pytest

from actors.accounts.permissions import NEVER_GRANTED_TO_KEYS
from appstrate.boot import Server
from appstrate.http.call import Route, Scope
from appstrate.http.routes import every_route
from support.api import Answer, Api, new_owner
from support.fake_model import FakeModel
from support.foreign import IN_PATH, IN_QUERY, Things, body_of, new_things

PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")

# Routes whose caller is told by something else than a session or a key, and what they then answer.
OWN_PROOF: dict[str, tuple[int, ...]] = dict.fromkeys(
    (
        "/api/runs/{run}/events",
        "/api/runs/{run}/events/finalize",
        "/api/runs/{run}/events/heartbeat",
        "/api/runs/{run}/workspace",
        "/api/runs/{run}/documents",
        "/api/runs/{run}/documents/{file}",
        "/preview/documents/{document}",
    ),
    (401, 410),
)
# An invitation's token is shown to whoever holds it, and accepted of its address alone.
OWN_PROOF |= {"/invite/{token}/info": (200,), "/invite/{token}/accept": (403,)}
NOT_FOUND = (404,)
FORBIDDEN = (403,)
STREAMS = "/api/realtime/"

ROUTES = [
    pytest.param(route, id=f"{route.method} {route.path}")
    for route in every_route()
    if PARAMETER.search(route.path)
]


@pytest.fixture(scope="session")
async def things(server: Server, fake: FakeModel) -> Things:
    return await new_things(await new_owner(server.url), fake)


@pytest.fixture(scope="session")
async def stranger(server: Server) -> Api:
    return await new_owner(server.url)


@pytest.fixture(scope="session")
async def strangers_key(stranger: Api) -> Api:
    return await stranger.with_key()


@pytest.mark.parametrize("route", ROUTES)
async def test_a_member_of_another_organization_finds_nothing(
    route: Route, things: Things, stranger: Api
) -> None:
    answer = await ask(route, things, stranger)

    _check(answer, OWN_PROOF.get(route.path, _hidden(route)))


@pytest.mark.parametrize("route", ROUTES)
async def test_a_key_of_another_organization_finds_nothing(
    route: Route, things: Things, strangers_key: Api
) -> None:
    resource = (route.permission or "").partition(":")[0]
    not_for_keys = route.scope in (Scope.SESSION, Scope.MEMBER) or resource in NEVER_GRANTED_TO_KEYS
    answer = await ask(route, things, strangers_key)

    _check(answer, OWN_PROOF.get(route.path, FORBIDDEN if not_for_keys else _hidden(route)))


@pytest.mark.parametrize(
    "route",
    [each for each in ROUTES if each.values[0].method == "GET"],  # type: ignore[union-attr]
)
async def test_the_owner_finds_it(route: Route, things: Things) -> None:
    """So that the refusals above are about what is there."""
    if route.path in OWN_PROOF or route.path.startswith(STREAMS) or route.scope is Scope.PLATFORM:
        return
    answer = await ask(route, things, things.owner)

    assert answer.status == 200, answer.body


async def ask(
    route: Route, things: Things, api: Api, headers: dict[str, str] | None = None
) -> Answer:
    """Call a route as somebody, with the ids of `things` in its path."""

    def value(found: re.Match[str]) -> str:
        assert found[1] in IN_PATH, f"tell support.foreign what {{{found[1]}}} is in {route.path}"
        return IN_PATH[found[1]](things, route.path)

    path = PARAMETER.sub(value, route.path)
    if path.startswith(STREAMS):
        key = api.headers.get("Authorization", "").removeprefix("Bearer ")
        where = f"orgId={api.org['id']}&applicationId={api.application.get('id')}"
        path += f"?token={key}" if key else f"?{where}"
    if needed := {each.name: IN_QUERY[each.name] for each in route.query if each.required}:
        path += f"?{urlencode(needed)}"
    return await api.request(route.method, path, json=body_of(route), headers=headers)


def _hidden(route: Route) -> tuple[int, ...]:
    """What a route answers to whom it is not for."""
    return FORBIDDEN if route.scope is Scope.PLATFORM else NOT_FOUND


def _check(answer: Answer, statuses: tuple[int, ...]) -> None:
    assert answer.status in statuses, answer.body
    if answer.status >= 400:
        assert answer.json["detail"] != "there is no such path"
