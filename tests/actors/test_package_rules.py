from datetime import UTC, datetime
from typing import Any

from actors.ids import PackageId
from actors.packages import Publication, StoredPackage, VersionRow, admit, touches_draft
from support.packages import agent_manifest


def publication(version: str = "1.0.0", **fields: Any) -> Publication:
    return Publication(
        package=PackageId("@acme/report"),
        type="agent",
        manifest=agent_manifest(version=version),
        content="x",
        integrity="sha256-x",
        size=1,
        **fields,
    )


def test_nothing_stands_in_the_way_of_the_first_publication() -> None:
    assert admit(None, publication()) == "inserted"
    assert touches_draft(None, publication())


def test_whoever_ships_packages_may_bring_an_older_version_later() -> None:
    """It is there for those who ask for it, and changes nothing for the others."""
    now = datetime.now(UTC)
    shipped = StoredPackage(
        id=PackageId("@acme/report"),
        org_id=None,
        type="agent",
        source="system",
        draft_manifest=agent_manifest(version="1.1.0"),
        draft_content="y",
        unpublished_changes=True,
        lock_version=1,
        forked_from=None,
        auto_installed=False,
        created_by=None,
        created_by_name=None,
        created_at=now,
        updated_at=now,
        versions=[VersionRow(version="1.1.0", integrity="sha256-y", yanked=False)],
        tags={"latest": "1.1.0"},
    )

    assert admit(shipped, publication("1.0.0")) == "inserted"
    assert not touches_draft(shipped, publication("1.0.0"))
    assert touches_draft(shipped, publication("1.2.0"))
