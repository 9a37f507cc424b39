import pytest

from actors.egress import Egress, is_internal, parse_address
from actors.runtime import Rejected


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "0x7f.1",
        "0",
        "127.0.0.1.",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.1",
        "0.0.0.0",  # noqa: S104 - nobody binds it
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "[::1]",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "fec0::1",
        "::ffff:10.0.0.1",
        "::ffff:7f00:1",
        "[::ffff:127.0.0.1]",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:1::",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "sidecar",
        "host.docker.internal",
        "metadata.google.internal.",
    ],
)
def test_this_machine_and_private_networks_are_blocked_however_they_are_spelled(host: str) -> None:
    assert not Egress().allows_name(host)


@pytest.mark.parametrize(
    "host",
    ["example.com", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "10.example.com", "1e100.net"],
)
def test_the_internet_is_not(host: str) -> None:
    assert Egress().allows_name(host)


def test_the_operator_decides() -> None:
    policy = Egress(allowed_hosts=frozenset({"db.internal", "10.0.0.5"}), loopback=True)
    private = parse_address("10.0.0.9")
    assert private is not None

    assert policy.allows_name("10.0.0.5")
    assert policy.allows_name("127.0.0.1")
    assert policy.allows_name("localhost")
    assert policy.allows_address("db.internal", private)
    assert not policy.allows_name("10.0.0.6")
    assert not policy.allows_address("other", private)


@pytest.mark.parametrize(
    "url",
    [
        *("http://a b.example", "http://a.example/\r\nX: y", "http://a.example/\t"),
        *("ftp://x", "//x", "http://", "http://u:p@x.example", "http://x:99999", "javascript:1"),
        # Names that clients turn into addresses after they were checked.
        *("", "http://127。0。0。1", "http://１２７.0.0.1", "http://%31%32%37.0.0.1"),  # noqa: RUF001
    ],
)
def test_only_plain_web_urls_are_urls(url: str) -> None:
    with pytest.raises(Rejected) as caught:
        Egress().check_url(url, "url")

    assert (caught.value.code, caught.value.param) == ("blocked_url", "url")


def test_public_addresses_of_every_family_are_public() -> None:
    for text in ("8.8.8.8", "2a00:1450::1", "::ffff:8.8.8.8"):
        address = parse_address(text)
        assert address is not None
        assert not is_internal(address)
