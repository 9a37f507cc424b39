"""Where the platform may connect to on somebody's behalf. Pure rules; resolving is done elsewhere.

Blocked are the addresses of this machine and of private networks, whatever way they are spelled,
and the names that stand for them, unless the operator has allowed the host.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from actors.runtime import Rejected

BLOCKED_NAMES = frozenset(
    {"localhost", "sidecar", "agent", "host.docker.internal", "metadata.google.internal"}
)
_BLOCKED_V4 = [
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "192.0.0.0/24", "224.0.0.0/3"),
    )
]
_BLOCKED_V6 = [
    ipaddress.IPv6Network(network)
    for network in (
        *("::/128", "::1/128", "fe80::/10", "fc00::/7", "fec0::/10", "ff00::/8"),
        *("2001::/32", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96"),
        *("100::/64", "2001:db8::/32"),
    )
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Egress(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's policy: hosts that are exempt, and whether this machine itself is."""

    allowed_hosts: frozenset[str] = frozenset()
    loopback: bool = False

    def check_url(self, url: str, param: str) -> None:
        """Refuse a URL that is not http(s), carries credentials, or names a blocked host."""
        try:
            parts = urlsplit(url)
            host = parts.hostname
            _ = parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        blank = " " in url or not url.isprintable()
        if parts.scheme not in ("http", "https") or not host or blank:
            raise Rejected(f"{param} must be an http or https URL", code="blocked_url", param=param)
        if parts.username or parts.password:
            raise Rejected(f"{param} must not carry a password", code="blocked_url", param=param)
        if not host.isascii() or "%" in host:
            # Clients would map such a name to another one, or to an address, after this check.
            what = f"the host of {param} must be in ASCII: write {host} as xn--…"
            raise Rejected(what, code="blocked_url", param=param)
        if not self.allows_name(host):
            raise Rejected(
                f"{host} is this machine or a private network: list it in "
                "EGRESS_ALLOW_INTERNAL_HOSTS to allow it",
                code="blocked_url",
                param=param,
            )

    def allows_name(self, host: str) -> bool:
        """Whether a host may be tried, before it is resolved."""
        name = host.rstrip(".").lower()
        if name in self.allowed_hosts:
            return True
        if (address := parse_address(name)) is not None:
            return self.allows_address(name, address)
        if name == "localhost" or name.endswith(".localhost"):
            return self.loopback
        return name not in BLOCKED_NAMES

    def allows_address(self, host: str, address: Address) -> bool:
        """Whether `host` may be reached at the `address` it resolved to."""
        if host.rstrip(".").lower() in self.allowed_hosts:
            return True
        if self.loopback and address.is_loopback:
            return True
        return not is_internal(address)

    def pinned(self, host: str, addresses: Iterable[str]) -> list[str]:
        """The addresses to connect to instead of the name they were resolved from, IPv4 first.

        Refuses with `blocked_url` when any of them is blocked.
        """
        parsed = [(text, parse_address(text)) for text in dict.fromkeys(addresses)]
        for text, address in parsed:
            if address is None or not self.allows_address(host, address):
                raise Rejected(
                    f"{host} resolves to {text}, which is this machine or a private network: list "
                    "the host in EGRESS_ALLOW_INTERNAL_HOSTS to allow it",
                    code="blocked_url",
                )
        return sorted((text for text, _ in parsed), key=lambda text: ":" in text)


def parse_address(host: str) -> Address | None:
    """The address a host literally is, in any spelling a client would accept; None for names."""
    bare = host.strip("[]")
    try:
        return ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        pass
    if not bare.replace(".", "").replace("x", "").isalnum() or not bare[:1].isdigit():
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))  # decimal, hex, octal, short forms
    except OSError:
        return None


def is_internal(address: Address) -> bool:
    """Whether an address belongs to this machine, a private network or nobody."""
    if isinstance(address, ipaddress.IPv4Address):
        return any(address in network for network in _BLOCKED_V4)
    if address.ipv4_mapped is not None:
        return is_internal(address.ipv4_mapped)
    if int(address) >> 32 == 0 and int(address) > 1:  # IPv4-compatible
        return is_internal(ipaddress.IPv4Address(int(address)))
    return any(address in network for network in _BLOCKED_V6)
