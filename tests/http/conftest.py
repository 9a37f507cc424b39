"""The real application on tier 0, one for the session; each test brings a user of its own."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from appstrate.boot import Server, serving
from appstrate.settings import read_settings
from support.api import Api, new_owner
from support.fake_model import FakeModel, Hang, fake_model
from support.played import PlayedRun, settled
from support.receiver import Receiver, receiving
from support.sinks import secret_of
from support.waiting import eventually


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
async def server(data_folder: Path) -> AsyncIterator[Server]:
    # All tests come from one address; what is limited is tested on servers of its own.
    fixed = {"PORT": "0", "APP_ENV": "test", "RATE_LIMIT_FACTOR": "1000"}
    settings = read_settings(fixed | {"DATA_DIR": str(data_folder)})
    async with serving(settings) as running:
        yield running


@pytest.fixture(scope="session")
async def fake() -> AsyncIterator[FakeModel]:
    async with fake_model() as model:
        yield model


@pytest.fixture
async def owner(server: Server) -> Api:
    return await new_owner(server.url)


@pytest.fixture
async def played(owner: Api, server: Server, fake: FakeModel) -> PlayedRun:
    name = fake.script(f"hang-{owner.org['slug']}", Hang())
    await owner.new_model(fake, name)
    run = (await owner.launch(await owner.new_agent("played"))).json["id"]
    await eventually(lambda: fake.requests_of(name))
    return PlayedRun(owner, run, await secret_of(server, run), await settled(server, run))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def running_commands() -> Callable[[str], int]:
    """How many living processes have a text in their command line."""

    def count(text: str) -> int:
        found = 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    command = (folder / "cmdline").read_bytes()
                    found += command.startswith(text.encode())
        return found

    return count
