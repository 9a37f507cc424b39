"""Extensions: found, set up, kept alive; and a bad one harms nobody."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

import appstrate.extensions.installed
from actors.addresses import Addresses, new_addresses
from actors.extension import Extension, on
from actors.extension_host import ExtensionHost, ExtensionStatus, ListExtensions
from actors.pubsub import Publish, PubSub, Unsubscribe, subscription
from actors.runtime import Address, Child, RestartPolicy
from actors.runtime.supervisor import Supervisor
from adapters.local.pubsub import LocalPubSub
from appstrate.boot import serving
from appstrate.extensions.installed import InstalledExtensions
from appstrate.extensions.settings import (
    ExtensionSettings,
    NotSetError,
    UnusableError,
    decode,
    own_variables,
)
from appstrate.settings import read_settings
from support.api import PASSWORD, Api, new_owner
from support.extensions import Ear, Fields, Other, Rang, Shouted, entry
from support.running import AT_ONCE, supervised
from support.waiting import eventually, until

Hosting = Callable[..., AbstractAsyncContextManager[Addresses]]


@asynccontextmanager
async def hosting(
    policy: RestartPolicy = AT_ONCE, settings: ExtensionSettings | None = None, **entries: str
) -> AsyncIterator[Addresses]:
    """A bus, and these extensions on it, by name and class."""
    at = new_addresses()
    found = [entry(name.replace("_", "-"), attribute) for name, attribute in entries.items()]

    def host() -> ExtensionHost:
        return InstalledExtensions(settings or ExtensionSettings(), at, found, policy)

    Ear.heard.clear()
    Ear.lives.clear()
    Other.heard.clear()
    bus = Child(address=at.pubsub, factory=LocalPubSub, policy=AT_ONCE)
    async with supervised(bus, Child(address=at.extension_host, factory=host)):
        yield at


async def statuses(host: Address[ExtensionHost]) -> dict[str, ExtensionStatus]:
    return {each.name: each for each in await host.ask(ListExtensions())}


async def publish(at: Addresses, *events: Rang | Shouted) -> None:
    for event in events:
        await at.pubsub.ask(Publish(event=event))


async def test_handlers_are_subscriptions() -> None:
    async with hosting(ear="Ear") as at:
        await publish(at, Rang(number=1), Shouted(text="a"), Rang(number=2))
        await eventually(lambda: len(Ear.heard) == 3)
        found = (await statuses(at.extension_host))["ear"]

    assert [type(event) for event in Ear.heard] == [Rang, Shouted, Rang]
    assert (found.status, found.reason, found.restarts) == ("running", None, 0)
    assert found.events == ("Rang", "Shouted")
    assert Ear.lives == ["+", "-"]


async def test_what_was_heard_at_the_end_is_handled_before_it_stops() -> None:
    async with hosting(ear="Ear") as at:
        for number in range(100, 150):
            at.pubsub.tell(Publish(event=Rang(number=number)))
        await publish(at, Rang(number=150))

    assert len(Ear.heard) == 51


async def test_a_crash_harms_nobody_and_it_listens_again() -> None:
    async with hosting(ear="Ear", other="Other") as at:
        host = at.extension_host
        await publish(at, Rang(number=1), Rang(number=13))
        await until(lambda: _running_again(host, "ear"))
        await publish(at, Rang(number=2))
        await eventually(lambda: len(Ear.heard) == 2)
        await eventually(lambda: Other.heard == [1, 13, 2])
        found = await statuses(host)

    assert Ear.lives == ["+", "-", "+", "-"]
    assert (found["ear"].restarts, found["other"].restarts) == (1, 0)


@pytest.mark.parametrize("kind", ["Ends", "GivesUp", "Odd"])
async def test_nothing_it_raises_ends_more_than_itself(kind: str) -> None:
    async with hosting(bad=kind, other="Other") as at:
        await publish(at, Rang(number=1))
        await until(lambda: _running_again(at.extension_host, "bad"))
        await publish(at, Rang(number=2))
        await eventually(lambda: Other.heard == [1, 2])


def test_the_process_ends_without_tasks_that_will_not() -> None:
    program = """
import asyncio, structlog
from appstrate.strays import end_strays

async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def main():
    task = asyncio.create_task(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    await end_strays(within=0.1)

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.returncode == 0
    assert "stubborn" in ended.stdout + ended.stderr


async def _running_again(host: Address[ExtensionHost], name: str) -> bool:
    found = (await statuses(host))[name]
    return found.status == "running" and found.restarts > 0


async def test_a_bus_that_begins_anew_is_listened_to() -> None:
    async with hosting(ear="Ear") as at:
        at.pubsub.tell(Unsubscribe(subscription=None))  # type: ignore[arg-type] # crashes the bus
        await eventually(lambda: at.pubsub.metrics.restarts == 1)

        async def heard() -> bool:
            await publish(at, Rang(number=1))
            return bool(Ear.heard)

        await until(heard)
        assert (await statuses(at.extension_host))["ear"].restarts == 0


async def test_one_that_crashes_again_and_again_is_told_with_its_reason() -> None:
    policy = RestartPolicy(burst=1, first=60)
    async with hosting(policy, broken="NeverOpens", ear="Ear") as at:
        found = await statuses(at.extension_host)
        await until(lambda: _is(at.extension_host, "broken", "crashed_too_often"))
        found = await statuses(at.extension_host)

    assert found["broken"].reason == "crashed: OSError('the disk is on fire')"
    assert found["ear"].status == "running"


async def _is(host: Address[ExtensionHost], name: str, status: str) -> bool:
    return (await statuses(host))[name].status == status


async def test_one_that_does_not_start_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appstrate.extensions.installed, "BOOT_SECONDS", 0.05)
    async with hosting(RestartPolicy(burst=0, first=60), sleepy="Sleepy", ear="Ear") as at:
        found = await statuses(at.extension_host)

    assert found["ear"].status == "running"
    assert found["sleepy"].status != "running"


async def test_each_way_not_to_run_has_its_status_and_reason() -> None:
    settings = ExtensionSettings(
        variables={"EXTENSION_LOST_TIMES": "often", "EXTENSION_LOST_SPEED": "1"},
        disabled=frozenset({"unwanted"}),
    )
    attributes = {"unwanted": "Ear", "missing": "Nothing", "odd": "NoExtension"}
    told = {"told": "Told", "lost": "Told"}
    async with hosting(AT_ONCE, settings, **attributes, **told) as at:
        found = await statuses(at.extension_host)

    assert {name: each.status for name, each in found.items()} == {
        "unwanted": "disabled",
        "missing": "load_error",
        "odd": "load_error",
        "told": "disabled",
        "lost": "settings_error",
    }
    assert found["unwanted"].reason == "EXTENSIONS_DISABLED names it"
    assert "has no attribute 'Nothing'" in str(found["missing"].reason)
    assert found["odd"].reason == "support.extensions:NoExtension is no Extension"
    assert found["told"].reason == "EXTENSION_TOLD_URL is not set"
    for told_of in ("LOST_URL: is not set", "LOST_TIMES: Expected", "LOST_SPEED: there is no such"):
        assert f"EXTENSION_{told_of}" in str(found["lost"].reason)


@pytest.mark.parametrize(
    ("attribute", "status", "reason"),
    [
        ("Interrupts", "load_error", "it raised KeyboardInterrupt"),
        ("IsOdd", "load_error", "it raised OddError"),
        ("Unset", "load_error", "extensions:Unset: Settings must be a msgspec.Struct"),
        ("Puzzled", "settings_error", "TypeError: Type unions"),
        ("Quits", "settings_error", "it raised SystemExit('1')"),
    ],
)
async def test_nothing_it_brings_along_ends_more_than_itself(
    attribute: str, status: str, reason: str
) -> None:
    settings = ExtensionSettings(variables={"EXTENSION_BAD_PATH": "1"})
    async with hosting(AT_ONCE, settings, bad=attribute, other="Other") as at:
        found = await statuses(at.extension_host)

    assert (found["bad"].status, found["other"].status) == (status, "running")
    assert reason in str(found["bad"].reason)


async def test_of_two_with_one_name_the_first_runs_and_both_are_told() -> None:
    at = new_addresses()
    entries = [entry("twin", "Other"), entry("twin", "Ear")]
    host = Child(
        address=at.extension_host,
        factory=lambda: InstalledExtensions(ExtensionSettings(), at, entries, AT_ONCE),
    )
    bus = Child(address=at.pubsub, factory=LocalPubSub)
    async with supervised(bus, host):
        found = await at.extension_host.ask(ListExtensions())

    told = [(each.distribution, each.status) for each in found]
    assert told == [
        ("support.extensions:Ear", "running"),
        ("support.extensions:Other", "load_error"),
    ]
    assert "another extension has this name" in str(found[1].reason)


async def test_what_is_meant_for_no_extension_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(appstrate.extensions.installed, "log", log)
    variables = {"EXTENSION_EAR_X": "1", "EXTENSION_EARS_TOKEN": "swordfish"}
    settings = ExtensionSettings(variables=variables, disabled=frozenset({"other", "otter"}))
    async with hosting(AT_ONCE, settings, ear="Ear", other="Other"):
        told = [call.kwargs for call in log.calls if call.method_name == "warning"]

    assert told == [{"names": ["otter"]}, {"variables": ["EXTENSION_EARS_TOKEN"]}]


def test_settings_are_decoded_from_text() -> None:
    given = {"URL": "8080", "TIMES": "3", "LOUD": "true", "NAMES": '["a", "b"]'}

    assert decode("x", Fields, given) == Fields(url="8080", times=3, loud=True, names=("a", "b"))
    with pytest.raises(NotSetError, match="EXTENSION_X_URL is not set"):
        decode("x", Fields, {})
    with pytest.raises(UnusableError, match="EXTENSION_X_NAMES"):
        decode("x", Fields, {"URL": "u", "NAMES": "[1"})


def test_variables_belong_to_the_longest_name_that_fits() -> None:
    variables = {"EXTENSION_AUDIT_FILE_PATH": "p", "EXTENSION_AUDIT_URL": "u", "OTHER": "o"}

    assert own_variables("audit", ["audit", "audit-file"], variables) == {"URL": "u"}
    assert own_variables("audit-file", ["audit", "audit-file"], variables) == {"PATH": "p"}


def test_an_event_is_heard_here_or_everywhere_not_both() -> None:
    with pytest.raises(TypeError, match="Confused hears Rang both here and everywhere"):

        class Confused(Extension):
            @on(Rang)
            async def one(self, event: Rang) -> None: ...

            @on(Rang, everywhere=True)
            async def two(self, event: Rang) -> None: ...


async def test_a_supervisor_of_what_is_not_essential_boots_without_it() -> None:
    def broken() -> LocalPubSub:
        raise OSError("disk on fire")

    policy = RestartPolicy(burst=0, first=60)
    children: list[Child[PubSub]] = [
        Child(address=Address("bad"), factory=broken, policy=policy),
        Child(address=Address("good"), factory=LocalPubSub),
    ]
    supervisor = Supervisor(children, essential=False)
    supervisor.launch()
    await supervisor.ready
    async with subscription(children[1].address, "here"):
        pass
    assert "disk on fire" in str(children[0].address.reason)
    await supervisor.retire(5)


def test_the_shipped_extension_is_an_entry_point() -> None:
    (shipped,) = entry_points(group="appstrate.extensions", name="audit-file")

    assert issubclass(shipped.load(), Extension)


async def test_a_path_the_shipped_extension_cannot_use_is_named(tmp_path: Path) -> None:
    at, path = new_addresses(), tmp_path / "missing" / "runs.jsonl"
    settings = ExtensionSettings(variables={"EXTENSION_AUDIT_FILE_PATH": str(path)})
    shipped = entry_points(group="appstrate.extensions", name="audit-file")
    host = Child(
        address=at.extension_host,
        factory=lambda: InstalledExtensions(settings, at, shipped, RestartPolicy(burst=0)),
    )
    async with supervised(Child(address=at.pubsub, factory=LocalPubSub), host):
        (found,) = await at.extension_host.ask(ListExtensions())

    assert "EXTENSION_AUDIT_FILE_PATH" in str(found.reason)
    assert str(path) in str(found.reason)


async def test_the_shipped_extension_and_the_page_of_administrators(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    variables = {
        "DATA_DIR": str(tmp_path / "data"),
        "PORT": "0",
        "APP_ENV": "test",
        "AUTH_PLATFORM_ADMIN_EMAILS": "ops@example.com",
        "EXTENSION_AUDIT_FILE_PATH": str(file),
    }
    async with serving(read_settings(variables)) as server:
        owner = await new_owner(server.url)
        run = await owner.finished(await owner.new_agent(), {"modelId": "demo"})
        refused = [
            await Api(server.url).get("/api/admin/extensions"),
            await owner.get("/api/admin/extensions"),
            await (await owner.with_key()).get("/api/admin/extensions"),
        ]
        admin = Api(server.url)
        who = {"email": "ops@example.com", "password": PASSWORD, "name": "Ops"}
        assert (await admin.post("/api/auth/sign-up/email", who)).status == 200
        (told,) = (await admin.get("/api/admin/extensions")).json["data"]
    lines = [json.loads(line) for line in file.read_text().splitlines()]

    assert [answer.status for answer in refused] == [401, 403, 403]
    assert told["name"] == "audit-file"
    assert told["status"] == "running"
    assert told["distribution"].startswith("appstrate ")
    assert [line["run"]["status"] for line in lines] == ["pending", "running", "success"]
    assert {line["run"]["id"] for line in lines} == {run["id"]}
    assert file.stat().st_mode & 0o777 == 0o600
