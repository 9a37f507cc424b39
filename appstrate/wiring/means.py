"""What the actors of one process share."""

from collections.abc import Callable
from dataclasses import dataclass

from actors.addresses import Addresses
from actors.runs import Identity, Places
from actors.vault import Vault
from adapters.local.executor import LocalExecutor
from adapters.postgres.pool import Pool
from appstrate.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What is made once, before any actor, and outlives its restarts.

    `places` is known when the listeners for runs are open, and asked for later than that.
    """

    settings: Settings
    at: Addresses
    identity: Identity
    places: Callable[[], Places]
    pool: Pool
    executor: LocalExecutor
    vault: Vault
