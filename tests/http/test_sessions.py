"""What others may try with somebody's session: use it, choose it, or guess who has one."""

import pytest
from aiohttp import CookieJar
from argon2 import Parameters, extract_parameters
from yarl import URL

from actors.accounts import passwords
from appstrate.boot import Server
from support.api import PASSWORD, Answer, Api, new_user

EVIL = {"Origin": "https://evil.example"}


async def sign_in(api: Api, email: str, password: str = PASSWORD, **headers: str) -> Answer:
    body = {"email": email, "password": password}
    return await api.post("/api/auth/sign-in/email", body, headers=headers)


def session_of(api: Api) -> str:
    (cookie,) = [each for each in api.jar if each.key.endswith("appstrate.session")]
    return cookie.value


def holding(url: str, value: str) -> Api:
    """A browser into which somebody has put a session."""
    jar = CookieJar(unsafe=True)
    jar.update_cookies({"appstrate.session": value}, URL(url))
    return Api(url, jar=jar)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/orgs"),
        ("PATCH", "/api/profile"),
        ("PUT", "/api/models/default"),
        ("DELETE", "/api/api-keys/none"),
        ("POST", "/api/auth/sign-in/email"),
        ("POST", "/api/auth/sign-out"),
    ],
)
async def test_no_other_site_changes_anything_with_a_session(
    owner: Api, origin: str, method: str, path: str
) -> None:
    body = {"name": "x", "email": owner.email, "password": PASSWORD}
    answer = await owner.request(method, path, json=body, headers={"Origin": origin})

    assert (answer.status, answer.code) == (403, "forbidden")
    assert (await owner.get("/api/auth/get-session")).json["user"]["email"] == owner.email


async def test_a_form_of_another_site_is_no_way_around(owner: Api) -> None:
    forged = await owner.request(
        "POST",
        "/api/orgs",
        data='{"name": "x"}',
        headers=EVIL | {"Content-Type": "text/plain"},
    )

    assert forged.status == 403


async def test_another_site_cannot_sign_somebody_in_as_its_own_user(server: Server) -> None:
    attacker, victim = await new_user(server.url), Api(server.url)
    answer = await sign_in(victim, attacker.email, **EVIL)

    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers


async def test_the_cookie_is_not_sent_along_by_other_sites(server: Server) -> None:
    user = await new_user(server.url)
    answer = await sign_in(Api(server.url), user.email)

    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert "Path=/" in answer.headers["Set-Cookie"]


async def test_a_session_that_was_there_before_is_not_the_one_signed_in(server: Server) -> None:
    attacker, victim = await new_user(server.url), await new_user(server.url)
    planted = session_of(attacker)
    browser = holding(server.url, planted)
    await sign_in(browser, victim.email)

    assert session_of(browser) != planted
    assert (await browser.get("/api/auth/get-session")).json["user"]["email"] == victim.email
    still = (await holding(server.url, planted).get("/api/auth/get-session")).json
    assert still["user"]["email"] == attacker.email


async def test_a_made_up_session_is_never_adopted(server: Server) -> None:
    victim = await new_user(server.url)
    browser = holding(server.url, "chosen-by-somebody.else")
    await sign_in(browser, victim.email)

    assert not session_of(browser).startswith("chosen")
    assert (await holding(server.url, "chosen-by-somebody.else").get("/api/orgs")).status == 401


async def test_each_sign_in_is_a_session_of_its_own(server: Server) -> None:
    user = await new_user(server.url)
    browsers = [Api(server.url), Api(server.url)]
    for browser in browsers:
        await sign_in(browser, user.email)
    kept = [session_of(browser) for browser in browsers]
    await browsers[0].post("/api/auth/sign-out")

    assert len({*kept, session_of(user)}) == 3
    assert (await holding(server.url, kept[0]).get("/api/orgs")).status == 401
    assert (await holding(server.url, kept[1]).get("/api/orgs")).status == 200


async def test_nobody_learns_from_a_sign_in_who_has_an_account(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from the words, and not from the time: both cost one verification of the same price."""
    user, guest = await new_user(server.url), Api(server.url)
    prices: list[Parameters] = []
    verify = passwords._fits

    def counting(password: str, password_hash: str) -> bool:
        prices.append(extract_parameters(password_hash))
        return verify(password, password_hash)

    monkeypatch.setattr(passwords, "_fits", counting)
    answers = [
        await sign_in(guest, email, "wrong password")
        for email in (user.email, "nobody@example.com")
    ]

    assert {(a.status, a.code, a.json["detail"]) for a in answers} == {
        (401, "unauthorized", "wrong e-mail address or password")
    }
    assert len(prices) == 2
    assert prices[0] == prices[1]
