from collections.abc import AsyncIterator
from typing import Any

import pytest

from appstrate.agent.http import Connection
from support.fake_model import FakeModel, fake_model


@pytest.fixture(scope="module")
async def fake() -> AsyncIterator[FakeModel]:
    async with fake_model() as model:
        yield model


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appstrate.agent.models.client.FIRST_BACKOFF", 0.001)


@pytest.fixture(autouse=True)
async def connections(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Closes what a test has connected; the agent itself ends with its process."""
    made: list[Connection] = []
    make: Any = Connection.__init__

    def remember(self: Connection, *arguments: Any) -> None:
        make(self, *arguments)
        made.append(self)

    monkeypatch.setattr(Connection, "__init__", remember)
    yield
    for connection in made:
        connection.close()
