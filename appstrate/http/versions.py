"""Which version of the API a request speaks."""

import re

from aiohttp import web

from actors.contract import API_VERSION as API_VERSION
from actors.runtime import Rejected

VERSIONS = frozenset({API_VERSION})
HEADER = "Appstrate-Version"
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def choose_version(request: web.Request, setting: str | None = None) -> str:
    """The header's version, else the organization's, else the current one."""
    given = request.headers.get(HEADER)
    if given is None:
        return setting if setting in VERSIONS else API_VERSION
    return check_version(given, HEADER)


def check_version(given: str, param: str) -> str:
    """Refuse what is no version of this API, naming where it was found."""
    if not DATE.fullmatch(given):
        raise Rejected(
            f"{param} must be a date, such as {API_VERSION}",
            code="invalid_api_version",
            param=param,
        )
    if given not in VERSIONS:
        known = ", ".join(sorted(VERSIONS))
        raise Rejected(
            f"there is no version {given} of this API; there is {known}",
            code="unsupported_api_version",
            param=param,
        )
    return given
