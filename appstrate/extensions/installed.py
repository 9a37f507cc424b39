"""The extensions that installed distributions bring: found, set up, kept alive, told about."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec
import structlog

from actors.addresses import Addresses
from actors.extension import Extension, contained
from actors.extension_host import ExtensionHost, ExtensionStatus, Standing
from actors.runtime import Address, Child, RestartPolicy, State, Supervisor
from appstrate.extensions.settings import (
    ExtensionSettings,
    NotSetError,
    UnusableError,
    decode,
    own_variables,
)

log = structlog.get_logger("extensions")

GROUP = "appstrate.extensions"
PATIENCE = RestartPolicy(burst=3, settled=60, first=1, ceiling=60)
BOOT_SECONDS = 5.0
STOP_SECONDS = 5.0
STANDINGS: dict[State, Standing] = {
    State.STARTING: "starting",
    State.RUNNING: "running",
    State.RESTARTING: "restarting",
    State.UNAVAILABLE: "crashed_too_often",
    State.STOPPED: "disabled",
}


@dataclass(frozen=True, slots=True)
class Installed:
    """An extension that was found: what to run, or why it does not."""

    name: str
    distribution: str
    kind: type[Extension] | None = None
    settings: Any = None
    status: Standing = "starting"
    reason: str | None = None


def find_extensions(
    settings: ExtensionSettings, entries: Iterable[EntryPoint] | None = None
) -> list[Installed]:
    """Every extension that is installed, by name, loaded and set up where that can be done."""
    found = sorted(
        entry_points(group=GROUP) if entries is None else entries, key=lambda entry: entry.name
    )
    names = [entry.name for entry in found]
    kinds: dict[str, Installed] = {}
    for entry in found:
        if entry.name in kinds:
            reason = f"{entry.value} has the name of another extension"
            log.error("extension cannot be loaded", extension=entry.name, why=reason)
        else:
            kinds[entry.name] = _load(entry, names, settings)
    return list(kinds.values())


def _load(entry: EntryPoint, names: Sequence[str], settings: ExtensionSettings) -> Installed:
    whose = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    seen = partial(Installed, entry.name, whose)
    if entry.name in settings.disabled:
        return seen(status="disabled", reason="EXTENSIONS_DISABLED names it")
    try:
        kind = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module may raise anything
        return seen(status="load_error", reason=f"{type(error).__name__}: {error}")
    if not isinstance(kind, type) or not issubclass(kind, Extension):
        return seen(status="load_error", reason=f"{entry.value} is no Extension")
    if not issubclass(kind.Settings, msgspec.Struct):
        return seen(status="load_error", reason=f"{entry.value}: Settings must be a msgspec.Struct")
    given = own_variables(entry.name, names, settings.variables)
    try:
        decoded = decode(entry.name, kind.Settings, given)
    except NotSetError as error:
        return seen(kind, status="disabled", reason=str(error))
    except UnusableError as error:
        return seen(kind, status="settings_error", reason=str(error))
    return seen(kind, decoded)


class InstalledExtensions(ExtensionHost):
    """Boots every extension that can be, each under a supervisor of its own, and waits for none
    longer than a few seconds.
    """

    def __init__(
        self,
        settings: ExtensionSettings,
        at: Addresses,
        entries: Iterable[EntryPoint] | None = None,
        policy: RestartPolicy = PATIENCE,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._at = at
        self._entries = entries
        self._policy = policy
        self._found: list[Installed] = []
        self._running: dict[str, Address[Extension]] = {}
        self._supervisors: list[Supervisor] = []

    async def started(self) -> None:
        # Imports may take their time, and nothing is served yet.
        self._found = find_extensions(self._settings, self._entries)
        for each in self._found:
            if each.kind is not None and each.status == "starting":
                self._launch(each.name, each.kind, each.settings)
            elif each.status != "disabled":
                log.error("extension does not run", extension=each.name, why=each.reason)
        await asyncio.gather(*(self._booted(each) for each in self._supervisors))

    async def stopped(self) -> None:
        retiring = (each.retire(STOP_SECONDS + 1) for each in self._supervisors)
        await asyncio.gather(*retiring)

    def statuses(self) -> tuple[ExtensionStatus, ...]:
        return tuple(map(self._status, self._found))

    def _launch(self, name: str, kind: type[Extension], settings: Any) -> None:
        address = self._running[name] = Address(f"extension.{name}")

        def build() -> Extension:
            with contained():
                return kind.build(settings, self._at)

        child = Child(address=address, factory=build, policy=self._policy)
        supervisor = Supervisor(
            [child], boot_within=BOOT_SECONDS, stop_within=STOP_SECONDS, essential=False
        )
        self._supervisors.append(supervisor)
        supervisor.launch(f"{address.name}.supervisor")

    async def _booted(self, supervisor: Supervisor) -> None:
        try:
            async with asyncio.timeout(BOOT_SECONDS):
                await supervisor.ready
        except TimeoutError:
            log.warning("extension is slow to start: not waited for", extension=supervisor.name)

    def _status(self, each: Installed) -> ExtensionStatus:
        address = self._running.get(each.name)
        return ExtensionStatus(
            name=each.name,
            distribution=each.distribution,
            status=STANDINGS[address.state] if address else each.status,
            reason=address.reason if address else each.reason,
            restarts=address.metrics.restarts if address else 0,
            events=tuple(sorted(e.__name__ for e in each.kind.listens)) if each.kind else (),
        )
