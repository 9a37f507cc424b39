"""Health, when the disk is nearly full."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appstrate.boot import serving
from appstrate.http.routes.status import check_disk
from appstrate.settings import read_settings
from support.api import Api
from support.postgres import Postgres, url_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=False)


async def test_a_disk_that_is_nearly_full_is_named(
    small_disk: Path, tmp_path: Path, postgres: Postgres
) -> None:
    environment = {
        "DATA_DIR": str(tmp_path / "data"),
        "FS_STORAGE_PATH": str(small_disk),
        "DATABASE_URL": url_of(await postgres.fresh_database()),
        "PORT": "0",
        "APP_ENV": "test",
        "SIDECAR_POOL_SIZE": "0",
    }
    async with serving(read_settings(environment)) as server:
        answer = await Api(server.url).get("/health")
        page = await Api(server.url).get("/")

    assert (answer.status, answer.json["status"]) == (200, "degraded")
    told = {"status": "degraded", "reason": f"{small_disk}: 4 MiB are left"}
    assert answer.json["checks"]["disk"] == told
    assert b"degraded" in page.body


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    there, gone = tmp_path, tmp_path / "gone"

    assert check_disk([there], least=1) == {"status": "healthy"}
    assert check_disk([there], least=2**62)["reason"].startswith(f"{there}: ")
    assert check_disk([there, gone], least=1)["reason"] == f"{gone}: No such file or directory"
