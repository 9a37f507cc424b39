"""One synchronous fixture per implementation: it returns a factory of actors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.pubsub import PubSub
from actors.storage import Storage
from adapters.local.pubsub import LocalPubSub
from adapters.local.settings import LocalStorageSettings
from adapters.local.storage import LocalStorage


@pytest.fixture
def local_pubsub() -> Callable[[], PubSub]:
    return LocalPubSub


@pytest.fixture
def local_storage(tmp_path: Path) -> Callable[[], Storage]:
    settings = LocalStorageSettings(root=tmp_path / "blobs")
    return lambda: LocalStorage(settings)
