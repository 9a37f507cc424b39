"""Claiming the platform: its first owner, by the token that the server printed."""

import html
from pathlib import Path
from string import Template
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from actors.accounts import ClaimPlatform, IsClaimOpen, SignedUp, User
from actors.contract import spell
from actors.ids import OrgId
from actors.runtime import Refusal
from appstrate.http.call import Call, Media, Query, Routes, Scope
from appstrate.http.codec import json_response
from appstrate.http.endpoint import COOKIES
from appstrate.http.policy import policy_of
from appstrate.http.problems import status_of
from appstrate.http.routes.accounts import client_of, give_session, welcome

routes = Routes()

CLAIMS = 5

PAGE = Template((Path(__file__).parent.parent / "pages" / "claim.html").read_text())
CLOSED = """<p>This platform has an owner, or its operator named one.</p>
<p>Sign in on the command line with <code>appstrate login</code>, or ask for an invitation.</p>"""
HEADERS = {
    "Content-Security-Policy": policy_of(PAGE.template, forms="'self'"),
    "Cache-Control": "no-store",
    # The token is in the address: no other site may read it. A stricter policy would keep the
    # origin from our own form.
    "Referrer-Policy": "same-origin",
}
FIELDS = (
    ("name", "Your name", "text", "name"),
    ("email", "E-mail", "email", "username"),
    ("password", "Password, at least 8 characters", "password", "new-password"),
)


class RedeemBody(msgspec.Struct, kw_only=True):
    """Who the platform's owner is to be, and the token that says so."""

    token: str
    email: str
    name: str
    password: str


class ClaimStatus(msgspec.Struct, kw_only=True):
    """Whether the platform waits for its owner."""

    pending: bool


class Bootstrap(msgspec.Struct, kw_only=True, rename=spell):
    """The organization that was made with the owner."""

    org_id: OrgId
    org_slug: str = msgspec.field(name="orgSlug")


class Redeemed(msgspec.Struct, kw_only=True):
    """The owner, who is signed in now."""

    redirect: bool = False
    token: None = None
    user: User
    bootstrap: Bootstrap


@routes.add("GET", "/api/auth/bootstrap", Scope.PUBLIC)
async def read_claim(call: Call) -> ClaimStatus:
    """Whether the platform waits for its owner."""
    return ClaimStatus(pending=await call.at.accounts.ask(IsClaimOpen()))


@routes.add(
    "POST",
    "/api/auth/bootstrap/redeem",
    Scope.PUBLIC,
    body=RedeemBody,
    answer=Redeemed,
    limit=CLAIMS,
    audit=True,
    refuses={
        401: "token_invalid",
        403: "forbidden",
        409: "redeem_in_progress user_exists",
        410: "token_unavailable",
    },
)
async def redeem(call: Call, body: RedeemBody) -> web.Response:
    """Make the platform's owner and their organization, and sign them in."""
    call.request.app[COOKIES].check_origin(call.request)
    made = await _claim(call, body)
    assert made.organization is not None
    org = made.organization.organization
    answer = Redeemed(
        user=made.signed_in.user, bootstrap=Bootstrap(org_id=org.id, org_slug=org.slug)
    )
    response = json_response(answer, headers=call.headers)
    give_session(call, response, made.signed_in)
    return response


@routes.add(
    "GET",
    "/claim",
    Scope.PUBLIC,
    query=(Query("token", "The claim token."),),
    answer=Media("text/html"),
)
async def claim_form(call: Call) -> web.Response:
    """The form that makes the platform's owner."""
    if not await call.at.accounts.ask(IsClaimOpen()):
        return _page("Nothing to claim", CLOSED, 410)
    return _page("Claim this platform", _form({"token": call.query("token") or ""}))


@routes.add(
    "POST",
    "/claim",
    Scope.PUBLIC,
    takes=Media("application/x-www-form-urlencoded"),
    answer=Media("text/html"),
    limit=CLAIMS,
    audit=True,
)
async def claim_by_form(call: Call) -> web.Response:
    """Make the platform's owner of what they wrote into the form."""
    given = dict(parse_qsl((await call.body()).decode(errors="replace")))
    wanted = RedeemBody(**{name: given.get(name, "") for name in RedeemBody.__struct_fields__})
    try:
        call.request.app[COOKIES].check_origin(call.request)
        made = await _claim(call, wanted)
    except Refusal as refusal:  # a person reads this, so it is a page, with what they wrote
        return _page("Claim this platform", _form(given, refusal.detail), status_of(refusal))
    response = _page("This platform is yours", _done(made))
    give_session(call, response, made.signed_in)
    return response


async def _claim(call: Call, body: RedeemBody) -> SignedUp:
    ip, agent = client_of(call)
    made = await call.at.accounts.ask(
        ClaimPlatform(
            token=body.token,
            email=body.email,
            password=body.password,
            name=body.name,
            ip_address=ip,
            user_agent=agent,
        )
    )
    await welcome(call, made)
    return made


def _form(given: dict[str, str], refused: str = "") -> str:
    told = f'<p class="refused" role="alert">{html.escape(refused)}</p>' if refused else ""
    token = html.escape(given.get("token", ""))
    kept = (
        f'<input type="hidden" name="token" value="{token}">'
        if token and not refused
        else f'<label>Claim token <input name="token" value="{token}" required></label>'
    )
    inputs = "".join(_input(given, *field) for field in FIELDS)
    return (
        f"<p>This makes you its owner, who administers it, and makes you an organization.</p>{told}"
        f'<form method="post" action="/claim">{kept}{inputs}<button>Claim</button></form>'
    )


def _input(given: dict[str, str], name: str, label: str, kind: str, purpose: str) -> str:
    value = html.escape(given.get(name, "")) if kind != "password" else ""
    least = ' minlength="8" maxlength="256"' if kind == "password" else ""
    return (
        f'<label>{label} <input name="{name}" type="{kind}" value="{value}" '
        f'autocomplete="{purpose}"{least} required></label>'
    )


def _done(made: SignedUp) -> str:
    assert made.organization is not None
    user, org = made.signed_in.user, made.organization.organization
    return (
        f"<p>You are signed in as <strong>{html.escape(user.email)}</strong>, the owner of this "
        f"platform and of the organization <strong>{html.escape(org.name)}</strong>.</p>"
        "<p>On the command line, sign in with <code>appstrate login</code>.</p>"
        '<p><a href="/">How the server is</a></p>'
    )


def _page(title: str, content: str, status: int = 200) -> web.Response:
    text = PAGE.substitute(title=title, content=content)
    return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)
