"""Which machine a request comes from, as far as that can be known."""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from actors.egress import parse_address

TRUSTED_HOPS: web.AppKey[int] = web.AppKey("trusted_hops", int)
FORWARDED = ("x-forwarded-", "forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip")
NEIGHBOURS = 64


def client_address(request: web.Request) -> str:
    """The address of the client.

    Behind `TRUSTED_HOPS` proxies it is what the outermost of them has seen: the entry of
    X-Forwarded-For that is so many from its end, for everything before it may be made up. A request
    that has not come through all of them is its peer's.
    """
    peer, hops = _address(request.remote or "") or "", request.app[TRUSTED_HOPS]
    if hops == 0:
        return peer
    told = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).split(",")
    if len(told) < hops:
        return peer
    return _address(told[-hops]) or peer


def client_key(request: web.Request) -> str:
    """What the limits of a client are counted by: its address, or its network of IPv6.

    Whoever has one address of IPv6 has 2^64.
    """
    address = client_address(request)
    found = parse_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, NEIGHBOURS), strict=False))
    return address


def is_local(request: web.Request) -> bool:
    """Whether a request was made on this machine, and was not passed on by a proxy on it.

    Not every proxy says in a header that it is one, and a foreign name may be made to resolve to
    this machine after its page was loaded (DNS rebinding): it must have been asked for as such.
    """
    passed_on = any(name.lower().startswith(FORWARDED) for name in request.headers)
    asked = _name(request.headers.get(hdrs.HOST, ""))
    return _is_loopback(request.remote or "") and not passed_on and _is_loopback(asked)


def _address(told: str) -> str | None:
    """An entry of X-Forwarded-For without its port; None when it is no address."""
    text = told.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    found = parse_address(text)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped  # as whoever listens on both is told of IPv4
    return None if found is None else str(found)


def _name(host: str) -> str:
    """The name or address in a Host header."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    found = parse_address(_address(name) or name)
    return found.is_loopback if found is not None else name == "localhost"
