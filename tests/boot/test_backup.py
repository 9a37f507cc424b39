"""A backup is what can be restored: taken while the server runs, brought back in another place."""

import base64
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.postgres.backup import BackupError, dump
from adapters.postgres.settings import EmbeddedSettings
from support.api import new_owner
from support.fake_model import Say, fake_model
from support.packages import agent_archive, agent_manifest
from support.postgres import Postgres, url_of
from support.processes import ServerProcess


def appstrate(*arguments: str, data: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("APPSTRATE_")}
    return subprocess.run(
        [sys.executable, "-m", "appstrate", *arguments],
        env=clean | {"DATA_DIR": str(data), "APP_ENV": "test"} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_a_backup_of_a_running_server_is_restored_and_its_keys_are_rotated(
    tmp_path: Path,
) -> None:
    server, backup = ServerProcess(tmp_path / "data"), tmp_path / "backups" / "monday"
    async with fake_model() as fake:
        await server.start()
        owner = await new_owner(server.url)
        name = fake.script("kept", *[Say("done")] * 3)
        await owner.new_model(fake, name)
        agent = f"{owner.scope}/kept"
        archive = agent_archive(agent_manifest(agent))
        assert (await owner.upload(archive)).status == 201
        before = await owner.finished(agent)
        taken = appstrate("backup", str(backup), data=server.data)
        assert taken.returncode == 0, taken.stderr
        after = await owner.finished(agent)
        await server.stop()

        restored = ServerProcess(tmp_path / "elsewhere" / "data")
        brought = appstrate("restore", str(backup), data=restored.data)
        assert brought.returncode == 0, brought.stderr
        await restored.start()
        owner.url = restored.url
        again = await owner.finished(agent)
        assert (await owner.get(f"/api/runs/{before['id']}")).json == before
        assert (await owner.get(f"/api/runs/{after['id']}")).status == 404
        assert (again["status"], again["runNumber"]) == ("success", 2)
        await restored.stop()

        kept = json.loads((restored.data / "secrets.json").read_text())
        rotated = ServerProcess(
            restored.data,
            CONNECTION_ENCRYPTION_KEY=base64.b64encode(b"n" * 32).decode(),
            CONNECTION_ENCRYPTION_KEY_ID="k2",
            CONNECTION_ENCRYPTION_KEYS=json.dumps({"k1": kept["CONNECTION_ENCRYPTION_KEY"]}),
            AUTH_SECRET="a new secret of this server",
            BETTER_AUTH_SECRETS=json.dumps({"old": kept["AUTH_SECRET"]}),
            RUN_TOKEN_SECRET=f"another new secret,{kept['RUN_TOKEN_SECRET']}",
        )
        await rotated.start()
        owner.url = rotated.url
        last = await owner.finished(agent)
        await rotated.stop()

    assert (last["status"], last["runNumber"]) == ("success", 3)
    assert backup.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in backup.iterdir()} == {
        *("database.dump", "storage", "secrets.json", "backup.json")
    }


async def test_an_external_database_is_backed_up_and_restored_by_its_url(
    tmp_path: Path, postgres: Postgres
) -> None:
    first, second = [url_of(await postgres.fresh_database()) for _ in range(2)]
    server = ServerProcess(tmp_path / "data", DATABASE_URL=first)
    await server.start()
    owner = await new_owner(server.url)
    await server.stop()
    backup, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    taken = appstrate("backup", str(backup), data=server.data, DATABASE_URL=first)
    assert taken.returncode == 0, taken.stderr
    taken_again = appstrate("backup", str(backup), data=server.data, DATABASE_URL=first)
    empty = appstrate("backup", str(tmp_path / "empty"), data=server.data, DATABASE_URL=second)
    over = appstrate("restore", str(backup), data=elsewhere, DATABASE_URL=first)
    brought = appstrate("restore", str(backup), data=elsewhere, DATABASE_URL=second)
    assert brought.returncode == 0, brought.stderr
    moved = ServerProcess(elsewhere, DATABASE_URL=second)
    await moved.start()
    owner.url = moved.url
    orgs = (await owner.get("/api/orgs")).json["data"]
    await moved.stop()

    assert [org["id"] for org in orgs] == [owner.org["id"]]
    assert (taken_again.returncode, over.returncode, empty.returncode) == (1, 1, 1)
    assert "holds nothing of a server" in empty.stderr
    assert "is there already" in taken_again.stderr
    assert "the database is not empty" in over.stderr


@pytest.mark.parametrize(
    ("source", "words"), [("nothing", "is no backup"), ("backup", "restore into an empty DATA_DIR")]
)
def test_what_cannot_be_restored_is_told(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "backup.json").write_text("{}")
    (tmp_path / "data" / "storage").mkdir(parents=True)
    (tmp_path / "data" / "storage" / "mine").write_text("precious")
    refused = appstrate("restore", str(tmp_path / source), data=tmp_path / "data")

    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_a_server_that_is_just_starting_is_told(tmp_path: Path) -> None:
    (tmp_path / "pgdata").mkdir()
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for known in ("", "123\n"):
            with pytest.raises(BackupError, match="just starting or stopping"):
                await dump(EmbeddedSettings(root=tmp_path), tmp_path / "dump")
            (tmp_path / "pgdata" / "postmaster.pid").write_text(known)


def test_no_backup_is_made_of_what_is_no_server(tmp_path: Path) -> None:
    """As by a timer that starts in another folder: an empty backup would be taken for one."""
    data, target = tmp_path / "data", tmp_path / "backup"
    nothing = appstrate("backup", str(target), data=data)
    left = list(tmp_path.iterdir())
    data.mkdir()
    names = ("AUTH_SECRET", "RUN_TOKEN_SECRET", "UPLOAD_SIGNING_SECRET")
    key = base64.b64encode(b"k" * 32).decode()
    kept = dict.fromkeys(names, "s" * 16) | {"CONNECTION_ENCRYPTION_KEY": key}
    (data / "secrets.json").write_text(json.dumps(kept))
    no_files = appstrate("backup", str(target), data=data)
    (data / "storage").mkdir()
    no_database = appstrate("backup", str(target), data=data)

    assert [nothing.returncode, no_files.returncode, no_database.returncode] == [1, 1, 1]
    assert f"no server of yours has its data in {data}" in nothing.stderr
    assert f"there is no {data / 'storage'}" in no_files.stderr
    assert f"there is no database in {data / 'postgres'}" in no_database.stderr
    assert left == []
    assert not target.exists()
