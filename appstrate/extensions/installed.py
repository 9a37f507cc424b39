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
    prefix_of,
)

log = structlog.get_logger("extensions")

GROUP = "appstrate.extensions"
NAME_TAKEN = "another extension has this name: uninstall one of them"
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
    """Every extension that is installed, by name, loaded and set up where that can be done.

    Of several with one name the first runs, by the name of its distribution.
    """
    found = sorted(entry_points(group=GROUP) if entries is None else entries, key=_place)
    names = [entry.name for entry in found]
    return [
        _load(entry, names, settings)
        if entry.name not in names[:place]
        else Installed(entry.name, _whose(entry), status="load_error", reason=NAME_TAKEN)
        for place, entry in enumerate(found)
    ]


def _place(entry: EntryPoint) -> tuple[str, str]:
    return entry.name, _whose(entry)


def _whose(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _load(entry: EntryPoint, names: Sequence[str], settings: ExtensionSettings) -> Installed:
    seen = partial(Installed, entry.name, _whose(entry))
    if entry.name in settings.disabled:
        return seen(status="disabled", reason="EXTENSIONS_DISABLED names it")
    # A stranger's module, and the struct in it, may raise anything.
    try:
        with contained():
            kind = _extension(entry)
    except UnusableError as error:
        return seen(status="load_error", reason=str(error))
    except Exception as error:  # noqa: BLE001 - see above
        return seen(status="load_error", reason=f"{type(error).__name__}: {error}")
    given = own_variables(entry.name, names, settings.variables)
    try:
        with contained():
            decoded = decode(entry.name, kind.Settings, given)
    except NotSetError as error:
        return seen(kind, status="disabled", reason=str(error))
    except UnusableError as error:
        return seen(kind, status="settings_error", reason=str(error))
    except Exception as error:  # noqa: BLE001 - see above
        return seen(kind, status="settings_error", reason=f"{type(error).__name__}: {error}")
    return seen(kind, decoded)


def _extension(entry: EntryPoint) -> type[Extension]:
    kind = entry.load()
    if not isinstance(kind, type) or not issubclass(kind, Extension):
        raise UnusableError(f"{entry.value} is no Extension")
    settings: Any = kind.Settings
    if not isinstance(settings, type) or not issubclass(settings, msgspec.Struct):
        raise UnusableError(f"{entry.value}: Settings must be a msgspec.Struct")
    return kind


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
        self._tell_mistyped()
        await asyncio.gather(*(self._booted(each) for each in self._supervisors))

    async def stopped(self) -> None:
        retiring = (each.retire(STOP_SECONDS + 1) for each in self._supervisors)
        await asyncio.gather(*retiring)

    def statuses(self) -> tuple[ExtensionStatus, ...]:
        return tuple(map(self._status, self._found))

    def _tell_mistyped(self) -> None:
        names = [each.name for each in self._found]
        if unknown := sorted(self._settings.disabled.difference(names)):
            log.warning("EXTENSIONS_DISABLED names what is not installed", names=unknown)
        prefixes = tuple(map(prefix_of, names))
        if nobodys := sorted(v for v in self._settings.variables if not v.startswith(prefixes)):
            log.warning("no installed extension has such a variable", variables=nobodys)

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
        address = self._running.get(each.name) if each.kind else None
        return ExtensionStatus(
            name=each.name,
            distribution=each.distribution,
            status=STANDINGS[address.state] if address else each.status,
            reason=address.reason if address else each.reason,
            restarts=address.metrics.restarts if address else 0,
            events=tuple(sorted(e.__name__ for e in each.kind.listens)) if each.kind else (),
        )
