from pathlib import Path

import pytest

from actors.packages.content import ReadPackage
from actors.packages.shipped import publish_shipped
from actors.runtime import Rejected
from support.packages import agent_archive, agent_manifest


class Catalogue:
    """What was published, and what it refuses."""

    def __init__(self, refused: dict[str, Exception] | None = None) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.order: list[tuple[str, str]] = []
        self.refused = refused or {}

    async def publish(self, package: ReadPackage) -> None:
        if package.id in self.refused:
            raise self.refused[package.id]
        self.known[package.id, package.manifest["version"]] = package.integrity
        self.order.append((package.id, package.manifest["version"]))


def ship(folder: Path, file: str, name: str = "@x/a", **fields: str) -> None:
    prompt = fields.pop("prompt", "Do it.")
    (folder / file).write_bytes(agent_archive(agent_manifest(name, **fields), prompt))


async def test_archives_are_published_once_in_the_order_of_their_versions(tmp_path: Path) -> None:
    ship(tmp_path, "1.afps", version="1.10.0")
    ship(tmp_path, "2.zip", version="1.9.0")
    (tmp_path / "notes.txt").write_text("no archive")
    catalogue = Catalogue()
    folders = [tmp_path, tmp_path / "none"]

    assert await publish_shipped(folders, catalogue.known, catalogue.publish) == 2
    assert await publish_shipped([tmp_path], catalogue.known, catalogue.publish) == 0
    assert catalogue.order == [("@x/a", "1.9.0"), ("@x/a", "1.10.0")]


async def test_changed_bytes_of_a_published_version_are_refused(tmp_path: Path) -> None:
    ship(tmp_path, "a.afps", prompt="one")
    catalogue = Catalogue()
    await publish_shipped([tmp_path], catalogue.known, catalogue.publish)
    published = dict(catalogue.known)
    ship(tmp_path, "a.afps", prompt="two")

    assert await publish_shipped([tmp_path], catalogue.known, catalogue.publish) == 0
    assert catalogue.known == published


@pytest.mark.parametrize("problem", [Rejected("taken"), RuntimeError("a bug")])
async def test_one_that_cannot_be_used_does_not_keep_the_others(
    tmp_path: Path, problem: Exception
) -> None:
    ship(tmp_path, "a.afps", "@x/a")
    ship(tmp_path, "b.afps", "@x/b")
    (tmp_path / "c.afps").write_bytes(b"garbage")
    catalogue = Catalogue({"@x/a": problem})

    assert await publish_shipped([tmp_path], catalogue.known, catalogue.publish) == 1
    assert catalogue.order == [("@x/b", "1.0.0")]
