"""What the actors of one process share."""

from dataclasses import dataclass

from actors.addresses import Addresses
from actors.runs import Identity, Places
from actors.vault import Vault
from adapters.local.executor import LocalExecutor
from adapters.postgres.pool import Pool
from appstrate.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What is made once, before any actor, and outlives its restarts."""

    settings: Settings
    at: Addresses
    identity: Identity
    places: Places
    pool: Pool
    executor: LocalExecutor
    vault: Vault
