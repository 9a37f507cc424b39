"""Plans that are looked at, and never booted."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from actors.addresses import new_addresses
from actors.ids import InstanceId
from actors.runs import Identity, Places
from actors.runtime import Actor, Address
from adapters.local.sandbox import no_sandbox
from appstrate.settings import Settings, read_settings
from appstrate.tiers import Plan, plan

TIERS: tuple[dict[str, str], ...] = ({}, {"DATABASE_URL": "postgresql://db/x"})
"""The variables that make each tier."""


NOWHERE = Places(platform_url="", proxy_url="", egress_url="", public_url="")


def settings_of(folder: Path, variables: dict[str, str]) -> Settings:
    return read_settings({"DATA_DIR": str(folder)} | variables)


def planned(settings: Settings) -> Plan:
    identity = Identity(instance=InstanceId("1"), boot="b")
    return plan(settings, new_addresses(), identity, NOWHERE, no_sandbox)


def picked(factory: Any) -> type[Actor]:
    """The class that a factory of a plan makes."""
    chosen = factory.func if isinstance(factory, partial) else factory
    assert isinstance(chosen, type)
    assert issubclass(chosen, Actor)
    return chosen


def given(factory: Any) -> Iterator[Address[Any]]:
    """The addresses that an actor is made with, and those that what it makes is made with."""
    if isinstance(factory, partial):
        for value in (*factory.args, *factory.keywords.values()):
            if isinstance(value, Address):
                yield value
            else:
                yield from given(value)
