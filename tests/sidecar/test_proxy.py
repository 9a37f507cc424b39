"""The model proxy over HTTP: what goes in, what goes out, and what does not."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from actors.egress import Egress
from actors.ids import RunId
from actors.runs import ModelCall
from actors.runtime import Rejected, Unavailable
from appstrate.sidecar.proxy import ModelProxy
from appstrate.sidecar.upstream import Upstream

TOKEN = "run_1.abcdef"


class Provider:
    """A provider that answers with what it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[tuple[str, dict[str, str], bytes]] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        headers = {k.lower(): v for k, v in request.headers.items()}
        self.seen.append((str(request.rel_url), headers, await request.read()))
        if request.path.endswith("/redirect"):
            return web.Response(status=302, headers={"Location": "http://169.254.169.254/"})
        if request.path.endswith("/cut"):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.abort()
            return response
        answer = {"Retry-After": "3", "Set-Cookie": "a=b", "X-Secret": "x"}
        return web.Response(status=418, text="short and stout", headers=answer)


class Lookup:
    """Upstreams that are what a test says."""

    def __init__(self) -> None:
        self.upstream: Upstream | Exception = Rejected("no run", code="unauthorized")
        self.calls: list[ModelCall] = []

    async def find(self, token: str) -> Upstream:
        if token != TOKEN:
            raise Rejected("this run token is not valid", code="unauthorized")
        if isinstance(self.upstream, Exception):
            raise self.upstream
        return self.upstream

    def note(self, run: RunId, call: ModelCall) -> None:
        self.calls.append(call)


async def listening(application: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", provider.serve)
    runner, provider.url = await listening(application)
    yield provider
    await runner.cleanup()


@pytest.fixture
def lookup(provider: Provider) -> Lookup:
    lookup = Lookup()
    lookup.upstream = Upstream(base_url=f"{provider.url}/v1", api_key="sk-real")
    return lookup


@pytest.fixture
async def proxy(lookup: Lookup) -> AsyncIterator[str]:
    runner, url = await listening(ModelProxy(lookup, Egress(loopback=True)).application())
    yield url
    await runner.cleanup()


async def ask(
    proxy: str, path: str = "/chat/completions", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    return await send(proxy, path, b'{"model": "m"}', headers)


async def send(
    proxy: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(proxy + "/llm" + path, data=body, headers=headers) as answer,
    ):
        return answer.status, dict(answer.headers), await answer.read()


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("Authorization", f"Bearer {TOKEN}", "Bearer sk-real"),
        ("x-api-key", TOKEN, "sk-real"),
        ("api-key", TOKEN, "sk-real"),
    ],
)
async def test_the_token_is_replaced_by_the_key_wherever_it_stands(
    proxy: str, provider: Provider, name: str, value: str, sent: str
) -> None:
    await ask(proxy, "/messages?beta=true", **{name: value, "anthropic-version": "1"})
    path, headers, body = provider.seen[0]

    assert path == "/v1/messages?beta=true"
    assert headers[name.lower()] == sent
    assert headers["anthropic-version"] == "1"
    assert headers["host"] == provider.url.removeprefix("http://")
    assert body == b'{"model": "m"}'
    assert TOKEN not in str(provider.seen)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_the_demo_model_is_asked_in_json(proxy: str, lookup: Lookup, body: bytes) -> None:
    lookup.upstream = Upstream(base_url="", api_key="", demo=True)
    status, _, answer = await send(
        proxy, "/chat/completions", body, {"Authorization": f"Bearer {TOKEN}"}
    )

    assert status == 400
    assert b"no JSON object" in answer


async def test_a_server_without_keys_gets_no_header_for_one(
    proxy: str, provider: Provider, lookup: Lookup
) -> None:
    lookup.upstream = Upstream(base_url=provider.url, api_key="")
    await ask(proxy, Authorization=f"Bearer {TOKEN}")

    assert "authorization" not in provider.seen[0][1]


async def test_the_answer_comes_back_with_the_headers_that_matter(proxy: str) -> None:
    status, headers, body = await ask(proxy, Authorization=f"Bearer {TOKEN}")

    assert (status, body) == (418, b"short and stout")
    assert headers["Retry-After"] == "3"
    assert "Set-Cookie" not in headers
    assert "X-Secret" not in headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer other"}, 401), ({"x-api-key": "other"}, 401)],
)
async def test_without_a_runs_token_nothing_leaves(
    proxy: str, provider: Provider, headers: dict[str, str], status: int
) -> None:
    assert (await ask(proxy, **headers))[0] == status
    assert provider.seen == []


async def test_a_platform_that_is_busy_asks_to_come_back(proxy: str, lookup: Lookup) -> None:
    lookup.upstream = Unavailable("restarting")
    status, headers, _ = await ask(proxy, Authorization=f"Bearer {TOKEN}")

    assert (status, headers["Retry-After"]) == (503, "1")


async def test_redirects_are_not_followed(proxy: str, provider: Provider) -> None:
    status, _, _ = await ask(proxy, "/redirect", Authorization=f"Bearer {TOKEN}")

    assert status == 302
    assert len(provider.seen) == 1


async def test_an_answer_that_breaks_off_breaks_off_here_too(proxy: str) -> None:
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await ask(proxy, "/cut", Authorization=f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    ("base", "status", "words"),
    [
        ("http://127.0.0.1:9/v1", 502, "127.0.0.1:9"),
        ("http://no-such-host.invalid/v1", 502, "no-such-host.invalid"),
        ("http://10.0.0.1/v1", 403, "EGRESS_ALLOW_INTERNAL_HOSTS"),
    ],
)
async def test_a_model_that_cannot_be_reached_is_named(
    proxy: str, lookup: Lookup, base: str, status: int, words: str
) -> None:
    lookup.upstream = Upstream(base_url=base, api_key="k")
    answer = await ask(proxy, Authorization=f"Bearer {TOKEN}")

    assert answer[0] == status
    assert words in answer[2].decode()


async def test_a_name_that_resolves_to_this_machine_is_not_reached(
    provider: Provider, lookup: Lookup
) -> None:
    """What is connected to is what was checked: the resolver refuses, not a look beforehand."""
    port = provider.url.rpartition(":")[2]
    lookup.upstream = Upstream(base_url=f"http://localhost:{port}/v1", api_key="k")
    closed, open_ = ModelProxy(lookup, Egress()), ModelProxy(lookup, Egress(loopback=True))
    answers: list[Any] = []
    for proxy in (closed, open_):
        runner, url = await listening(proxy.application())
        answers.append(await ask(url, Authorization=f"Bearer {TOKEN}"))
        await runner.cleanup()

    assert answers[0][0] in (403, 502)
    assert answers[1][0] == 418
    assert len(provider.seen) == 1


async def test_every_call_is_noted_when_it_begins_and_when_it_is_over(
    proxy: str, lookup: Lookup
) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with session.post(f"{proxy}/llm/chat", headers=headers, data=b"x") as answer:
            await answer.read()
        with pytest.raises(aiohttp.ClientError):
            async with session.get(f"{proxy}/llm/cut", headers=headers) as answer:
                await answer.read()
        stranger = {"Authorization": "Bearer nobody"}
        async with session.get(f"{proxy}/llm/chat", headers=stranger) as answer:
            assert answer.status == 401
    begun, ended, _, cut = lookup.calls

    assert (begun.id, begun.duration, begun.status) == (ended.id, None, None)
    assert (ended.status, ended.error) == (418, "short and stout")
    assert ended.duration is not None
    assert cut.status == 200
    assert "broke off" in (cut.error or "")
