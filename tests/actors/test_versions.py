import pytest

from actors.packages.versions import Published, choose, moves_latest, newer_than_all

VERSIONS = [Published(v) for v in ("1.0.0", "1.2.0", "2.0.0-beta.1", "2.0.0-beta.2+x")] + [
    Published("1.3.0", yanked=True)
]


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("1.0.0", "1.0.0"),
        ("1.3.0", "1.3.0"),
        ("9.9.9", None),
        ("latest", "1.2.0"),
        ("published", "1.2.0"),
        ("dead", None),
        ("^1.0.0", "1.2.0"),
        ("*", "1.2.0"),
        (">=2.0.0-alpha", "2.0.0-beta.2+x"),
        # As npm chooses, prereleases above all, and however it is spelled.
        ("<2.0.0", "1.2.0"),
        ("<=2", "1.2.0"),
        (">=2.0.0-beta.1 <2.0.0", "2.0.0-beta.2+x"),
        (">= 1.0.0   <1.2.0", "1.0.0"),
        ("^ v1.0.0", "1.2.0"),
        ("~>1.0.0", "1.0.0"),
        ("= 1.0.0 || >5", "1.0.0"),
        ("1.0.0 - 1.9", "1.2.0"),
        ("1.0.0+build", "1.0.0"),
        ("2.0.0-beta.2", "2.0.0-beta.2+x"),
        (" " * 10_000 + "*", None),
        ("^3", None),
        ("no such tag", None),
    ],
)
def test_a_version_query_is_exact_then_a_tag_then_a_range(query: str, version: str | None) -> None:
    assert choose(query, VERSIONS, {"latest": "1.2.0", "dead": "1.3.0"}) == version


def test_a_new_version_is_higher_than_all_and_latest_is_stable() -> None:
    assert not newer_than_all("1.2.5", VERSIONS)
    assert newer_than_all("2.0.0", VERSIONS)
    assert moves_latest("1.0.0", None)
    assert not moves_latest("2.0.0-beta.1", "1.2.0")
    assert not moves_latest("1.0.0", "1.2.0")
