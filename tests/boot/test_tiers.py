import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from actors.addresses import Addresses, every_address, new_addresses
from adapters.postgres.database import EmbeddedDatabase, ExternalDatabase
from appstrate.capabilities import describe
from appstrate.settings import read_settings
from appstrate.tiers import Plan
from support.plans import given, picked, planned


@pytest.mark.parametrize("url", ["", "postgresql://db/x"])
def test_every_class_in_every_plan_can_be_made(tmp_path: Path, url: str) -> None:
    variables = {"DATA_DIR": str(tmp_path)} | ({"DATABASE_URL": url} if url else {})
    chosen = planned(read_settings(variables))
    for each in fields(Plan):
        assert not inspect.isabstract(picked(getattr(chosen, each.name))), each.name


def test_one_variable_replaces_one_part(tmp_path: Path) -> None:
    nothing = planned(read_settings({"DATA_DIR": str(tmp_path)}))
    with_url = planned(
        read_settings({"DATA_DIR": str(tmp_path), "DATABASE_URL": "postgresql://db/x"})
    )

    assert picked(nothing.database) is EmbeddedDatabase
    assert picked(with_url.database) is ExternalDatabase
    for each in fields(Plan)[1:]:
        assert picked(getattr(nothing, each.name)) is picked(getattr(with_url, each.name))


def test_the_plan_has_an_actor_for_every_address_in_the_same_order() -> None:
    assert [f.name for f in fields(Plan)] == [f.name for f in fields(Addresses)]
    assert [a.name for a in every_address(new_addresses())] == [f.name for f in fields(Plan)]


def test_actors_ask_only_those_that_boot_before_them(tmp_path: Path) -> None:
    chosen = planned(read_settings({"DATA_DIR": str(tmp_path)}))
    order = [each.name for each in fields(Plan)]
    upward = [
        f"{name} asks {address.name}"
        for name in order
        for address in given(getattr(chosen, name))
        if order.index(address.name) >= order.index(name)
    ]

    assert [*given(chosen.run_supervisor)]
    assert upward == []


def test_the_choice_is_explained(tmp_path: Path) -> None:
    tier, reasons = describe(read_settings({"DATA_DIR": str(tmp_path)}))

    assert tier.startswith("tier 0")
    assert dict(reasons)["Database"].endswith("because DATABASE_URL is not set")
