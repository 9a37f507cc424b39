"""Which machine a request comes from, as far as that can be known."""

import ipaddress

from aiohttp import hdrs, web

from actors.egress import parse_address

TRUSTED_HOPS: web.AppKey[int] = web.AppKey("trusted_hops", int)
FORWARDED = (hdrs.X_FORWARDED_FOR, hdrs.FORWARDED, hdrs.VIA, "X-Real-IP")
NEIGHBOURS = 64


def client_address(request: web.Request) -> str:
    """The address of the client.

    Behind `TRUSTED_HOPS` proxies it is what the outermost of them has seen: the entry of
    X-Forwarded-For that is so many from its end, for everything before it may be made up. A request
    that has not come through all of them is its peer's.
    """
    peer, hops = request.remote or "", request.app[TRUSTED_HOPS]
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
    """Whether a request was made on this machine, and was not passed on by a proxy on it."""
    found = parse_address(request.remote or "")
    passed_on = any(name in request.headers for name in FORWARDED)
    return found is not None and found.is_loopback and not passed_on


def _address(told: str) -> str | None:
    """An entry of X-Forwarded-For without its port; None when it is no address."""
    text = told.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    found = parse_address(text)
    return None if found is None else str(found)
