"""The walls around a run, each tried from the inside."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.local.executor import LocalExecutor, LocalSlot
from adapters.local.sandbox import Sandbox
from adapters.local.settings import LocalExecutorSettings
from adapters.local.trial import Found, SandboxError, find_sandbox
from support.waiting import alive, eventually
from support.walls import PROGRAM, found_on_this_host, need

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has walls")

Within = Callable[[str], Awaitable[list[str]]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a secret, as a server has it."""
    place = tmp_path_factory.mktemp("data")
    (place / "secrets.json").write_text("very secret")
    return place


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("program") / "program.py"
    program.write_text(PROGRAM)
    return program


@pytest.fixture(scope="module")
def found(place: Path, program: Path) -> Found:
    return found_on_this_host(place, program)


@pytest.fixture
async def executor(place: Path, program: Path, found: Found) -> LocalExecutor:
    async def sandbox() -> Sandbox:
        return found.sandbox

    settings = LocalExecutorSettings(root=place / "runs")
    return LocalExecutor(settings, "1", program, sandbox=sandbox, ports=[9])


@pytest.fixture
async def within(executor: LocalExecutor) -> AsyncIterator[Within]:
    """Runs shell commands in a slot of their own; answers the lines they wrote."""
    slots: list[LocalSlot] = []

    async def run(command: str) -> list[str]:
        slot = await executor.make()
        slots.append(slot)
        code = f"import subprocess; subprocess.run(['bash', '-c', {command!r}], timeout=60)"
        await slot.assign({"CODE": code})
        return (await slot.wait()).tail

    yield run
    for slot in slots:
        await slot.stop()


async def test_what_was_promised_works(within: Within) -> None:
    said = await within(
        "set -e; pwd; echo $HOME; echo hi > $TMPDIR/x; cat $TMPDIR/x; mktemp >/dev/null; "
        "python3 -c 'import ssl, sqlite3; print(6*7)'; git init -q . ; git status -s | head -1; "
        "mkdir outputs; echo done > outputs/a.txt; mv outputs/a.txt b.txt; cat b.txt; date +%Z; "
        "head -c1 /etc/resolv.conf >/dev/null; ls /etc/ssl/certs >/dev/null; locale >/dev/null; "
        "exec 3</dev/urandom; echo x > /dev/null; ls /proc/self/fd > /dev/null; id -un; echo end"
    )
    assert said[-1] == "end", said
    assert said[0] == said[1]
    assert {"hi", "42", "done"} <= set(said)


async def test_a_virtual_environment_can_be_made(within: Within) -> None:
    said = await within(
        "python3 -m venv v && v/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'"
    )
    assert said[-1] == "True", said


async def test_files_of_the_server_are_out_of_reach(
    within: Within, found: Found, place: Path
) -> None:
    need(found, "files")
    said = await within(
        f"cat {place}/secrets.json; ls {place}; ls {Path.home()}; cat /etc/shadow; "
        f"echo x > {place}/planted; for f in / /usr /etc {Path.home()} /opt /var; "
        "do (echo x > $f/planted) 2>/dev/null && echo planted in $f; done; echo end"
    )
    assert said[-1] == "end"
    assert not any("very secret" in line or "planted in" in line for line in said), said
    assert not any(line in {"secrets.json", "program.py"} for line in said), said
    assert not (place / "planted").exists()


async def test_runs_do_not_see_each_others_files(within: Within, found: Found) -> None:
    need(found, "files")
    first = await within("echo mine > note; echo mine > $TMPDIR/note; echo $PWD $TMPDIR")
    workspace, temporary = first[-1].split()
    said = await within(f"cat {workspace}/note {temporary}/note; echo $?")

    assert said[-1] == "1"
    assert "mine" not in said


async def test_a_link_out_of_the_workspace_leads_nowhere(
    within: Within, found: Found, place: Path
) -> None:
    need(found, "files")
    said = await within(f"ln -s {place}/secrets.json s; ln -s {place} d; cat s d/secrets.json")

    assert "very secret" not in "".join(said)


async def test_the_servers_memory_and_environment_are_out_of_reach(
    within: Within, found: Found
) -> None:
    need(found, "processes")
    here = os.getpid()
    said = await within(
        f"cat /proc/{here}/environ | wc -c; cat /proc/{here}/maps | wc -c; "
        f"kill -0 {here} && echo signalled; kill -9 {here} 2>&1; echo end"
    )

    assert said[-1] == "end"
    assert [line for line in said if line.isdigit()] == ["0", "0"]
    assert "signalled" not in said


async def test_runs_do_not_see_each_other(
    executor: LocalExecutor, within: Within, found: Found
) -> None:
    need(found, "processes")
    if found.sandbox.bubblewrap is None:
        pytest.skip("without a process namespace names can be seen")
    other = await executor.make()
    name = "appstrate-neighbour"
    await other.assign({"CODE": f"os.execv('/bin/bash', [{name!r}, '-c', 'sleep 600; true'])"})
    await eventually(lambda: commanded(name))
    said = await within("ls /proc | grep -c '^[0-9]*$'; cat /proc/*/cmdline | tr '\\0' ' '")
    await other.stop()

    assert int(said[0]) < 10
    assert name not in "".join(said)


DAEMON = (
    "for _ in range(3):\n"
    "  if os.fork() == 0:\n"
    "    os.setsid(); os.chdir('/')\n"
    "    if os.fork() == 0:\n"
    "      os.execve('/bin/bash', ['{name}', '-c', 'sleep 600; true'], {{}})\n"
    "    os._exit(0)\n"
)


def commanded(name: str) -> list[int]:
    """Living processes of this machine that call themselves so."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(name.encode()) and alive(int(folder.name)):
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize("ending", ["by itself", "stopped", "killed"])
async def test_a_daemon_does_not_outlive_its_run(
    executor: LocalExecutor, found: Found, ending: str
) -> None:
    """Though it has left its environment, its folder, its session and its parents."""
    need(found, "processes")
    name = f"appstrate-daemon-{ending.replace(' ', '-')}"
    slot = await executor.make()
    last = "sys.stdin.close()" if ending == "by itself" else "time.sleep(600)"
    wait = "time.sleep(0.3)\n"
    await slot.assign({"CODE": DAEMON.format(name=name) + wait + last})
    await eventually(lambda: len(commanded(name)) == 3)
    if ending == "by itself":
        await slot.wait()
    elif ending == "killed":
        os.kill(slot.pid, signal.SIGKILL)
    await slot.stop()

    assert not commanded(name)


async def test_how_a_program_ended_is_told_through_the_walls(executor: LocalExecutor) -> None:
    ends: list[Any] = []
    for code in ("sys.exit(3)", "os.kill(os.getpid(), 9)", "print('last', flush=True); os.abort()"):
        slot = await executor.make()
        await slot.assign({"CODE": code})
        ends.append(await slot.wait())
        await slot.stop()

    assert [(e.code, e.signal) for e in ends] == [(3, None), (None, 9), (None, 6)]
    assert "last" in ends[2].tail


async def test_a_slot_that_was_never_assigned_stops_at_once(executor: LocalExecutor) -> None:
    slots = await asyncio.gather(*(executor.make() for _ in range(4)))
    async with asyncio.timeout(5):
        await asyncio.gather(*(slot.stop() for slot in slots))

    assert not any(alive(slot.pid) for slot in slots)


async def test_only_the_ports_of_the_platform_can_be_connected_to(
    executor: LocalExecutor, found: Found
) -> None:
    need(found, "tcp")
    with (
        socket.create_server(("127.0.0.1", 0)) as open_,
        socket.create_server(("127.0.0.1", 0)) as closed,
    ):
        allowed, forbidden = open_.getsockname()[1], closed.getsockname()[1]
        executor._ports = [allowed]
        slot = await executor.make()
        await slot.assign({"CODE": CONNECTS.format(ports=[allowed, forbidden, 5432])})
        said = (await slot.wait()).tail
        await slot.stop()

    assert said == ["connected", "PermissionError", "PermissionError"]


CONNECTS = """
import socket
for port in {ports}:
    try:
        socket.create_connection(("127.0.0.1", port), 5)
        print("connected")
    except OSError as error:
        print(type(error).__name__)
"""


async def test_sockets_of_the_server_cannot_be_connected_to(
    executor: LocalExecutor, found: Found
) -> None:
    """Those in the file system, as PostgreSQL's, and those that are only names."""
    if found.sandbox.bubblewrap is None:
        pytest.skip("only a view of the machine of its own hides sockets")
    path = Path("/tmp") / f"appstrate-{os.getpid()}.sock"  # noqa: S108 - a place runs have too
    abstract = f"\0appstrate-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as file, socket.socket(socket.AF_UNIX) as name:
        file.bind(str(path))
        file.listen()
        name.bind(abstract)
        name.listen()
        slot = await executor.make()
        code = (
            "import socket\n"
            f"for place in ({str(path)!r}, {abstract!r}):\n"
            "  try:\n"
            "    socket.socket(socket.AF_UNIX).connect(place); print('connected')\n"
            "  except OSError as error: print(type(error).__name__)\n"
        )
        await slot.assign({"CODE": code})
        said = (await slot.wait()).tail
        await slot.stop()
    path.unlink()

    assert said == ["FileNotFoundError", "PermissionError"]


async def test_a_fork_bomb_is_bounded(
    executor: LocalExecutor, within: Within, found: Found
) -> None:
    need(found, "limits")
    slot = await executor.make()
    await slot.assign({"CODE": FORKS})
    said = (await slot.wait()).tail
    other = await within("echo fine")
    await slot.stop()

    assert said[0] == "bounded"
    assert 100 < int(said[1]) < 600
    assert other == ["fine"]


FORKS = """
import signal
made = 0
try:
    while made < 2000:
        if os.fork() == 0:
            signal.pause()
        made += 1
except BlockingIOError:
    print("bounded")
print(made)
"""


async def test_limits_are_told_by_the_kernel_itself(within: Within, found: Found) -> None:
    need(found, "limits")
    said = await within("ulimit -n; ulimit -c; ulimit -u; ulimit -f")

    assert said == ["1024", "0", "512", str(8 << 20)]


async def test_every_run_is_another_user(within: Within, found: Found) -> None:
    need(found, "user")
    users = [(await within("id -u; id -G; grep Cap /proc/self/status; sudo -n id")) for _ in "ab"]

    assert users[0][0] != users[1][0]
    assert all(said[0] == said[1] and int(said[0]) > 60_000 for said in users)
    assert all("CapEff:\t0000000000000000" in said for said in users)


async def test_what_a_run_leaves_is_removed_whatever_it_did_to_it(
    executor: LocalExecutor, place: Path
) -> None:
    slot = await executor.make()
    await slot.assign(
        {
            "CODE": "os.makedirs('a/b/c'); open('a/b/f', 'w').close();"
            "os.symlink('/usr', 'a/b/usr');"
            "os.chmod('a/b/c', 0); os.chmod('a/b', 0o500); os.chmod('a', 0); os.chmod('.', 0)"
        }
    )
    await slot.wait()
    assert (place / "runs" / "1" / slot.name).exists()
    await slot.stop()

    assert not (place / "runs" / "1" / slot.name).exists()
    assert Path("/usr/bin").is_dir()


async def test_a_sweep_ends_what_the_users_of_an_earlier_life_left(
    executor: LocalExecutor, found: Found, place: Path
) -> None:
    """kill -9 of the server leaves folders; their owners are ended, whatever they look like."""
    need(found, "user")
    user = next(found.sandbox.users)
    workspace = place / "runs" / "1" / "dead" / "workspace"
    workspace.mkdir(parents=True)
    os.chown(workspace, user, user)
    left = subprocess.Popen(
        ["sleep", "600"], user=user, group=user, extra_groups=[], env={}, cwd="/"
    )
    await executor.sweep()

    assert left.wait(5) == -signal.SIGKILL
    assert not workspace.exists()


def test_walls_that_are_required_and_missing_are_named(
    place: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    found = found_on_this_host(place, program)
    walls = {wall.name: wall for wall in found.walls}

    assert found.sandbox.bubblewrap is None
    assert "install bubblewrap" in walls["files"].remedy
    if all(wall.up for wall in found.walls if wall.name != "user"):
        pytest.skip("this host needs no bubblewrap")
    with pytest.raises(SandboxError, match="install bubblewrap"):
        found_on_this_host(place, program, "required")


def test_off_is_off(place: Path, program: Path) -> None:
    found = found_on_this_host(place, program, "off")

    assert not any(wall.up for wall in found.walls)
    assert {wall.how for wall in found.walls} == {"RUN_SANDBOX is off"}


def test_what_a_program_consists_of_is_compiled_once_for_all_runs(
    place: Path, tmp_path: Path
) -> None:
    program = tmp_path / "agent" / "program.py"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    (program.parent / "part.py").write_text("x = 1")
    settings = LocalExecutorSettings(root=place / "runs", sandbox="off")
    find_sandbox(settings, program, [], [program.parent])

    compiled = {path.name.partition(".")[0] for path in program.parent.glob("__pycache__/*.pyc")}
    assert compiled == {"program", "part"}
