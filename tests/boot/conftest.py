"""A folder, and a server that the demo has left running in it, one for each module."""

import subprocess
from collections.abc import Iterator

import pytest

from support.shell import Shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("somewhere")
    shell = Shell(folder, PORT="0", XDG_CONFIG_HOME=str(folder / "config"))
    yield shell
    shell("stop")


@pytest.fixture(scope="module")
def demo(shell: Shell) -> subprocess.CompletedProcess[str]:
    return shell("demo")
