"""Requests that are carried out once, however often they are sent."""

from appstrate.http.call import Route, Scope

HEADER = "Idempotency-Key"


def takes_keys(route: Route) -> bool:
    """Whether a route honours keys: every POST of the API by somebody who is known.

    Signing in and the runs' own routes are public, so they are none of these. A raw upload and a
    proxied call belong to somebody else's protocol.
    """
    if route.method != "POST" or route.scope is Scope.PUBLIC:
        return False
    return not route.path.startswith(PROXIES) and not is_raw(route)


PROXIES = ("/api/llm-proxy/", "/api/credential-proxy/")


def is_raw(route: Route) -> bool:
    """Whether the body is a stream of bytes, whatever they are."""
    return route.takes is not None and route.takes.type == "application/octet-stream"
