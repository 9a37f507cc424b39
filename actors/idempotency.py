"""Requests that are carried out once, however often they are sent.

A client names a request by a key. The first to come reserves the key and carries the request out;
its answer is kept, encrypted, for a day, and given to everybody who sends the same again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias, assert_never

import msgspec

from actors.runs import Identity
from actors.runtime import Actor, Conflict, Lane, Rejected, Request, Unavailable
from actors.vault import Vault, VaultError

LIFE = timedelta(hours=24)
LONGEST_REQUEST = timedelta(minutes=10)
SWEEP_SECONDS = 600.0


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """What a key names: a request of this method and path, in this scope of callers.

    `holder` is the one that reserves, keeps or releases it.
    """

    scope: str
    method: str
    path: str
    key: str
    holder: str


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it was given. `fingerprint` tells which request it answers."""

    fingerprint: str
    status: int
    headers: dict[str, str]
    body: bytes


class ReserveKey(Request["Idempotency", KeptAnswer | None], frozen=True, kw_only=True):
    """Take a key, or get the answer that is kept under it.

    Refuses with `idempotency_in_progress` while another holds it. One that lives no more, or
    holds it for longer than any request takes, holds nothing.
    """

    slot: Slot


class KeepAnswer(Request["Idempotency", None], frozen=True, kw_only=True):
    """Keep the answer to a request whose key is held; without effect when it is not."""

    slot: Slot
    answer: KeptAnswer


class ReleaseKey(Request["Idempotency", None], frozen=True, kw_only=True):
    """Let a key go: what was asked under it may be tried again."""

    slot: Slot


IdempotencyMessage: TypeAlias = ReserveKey | KeepAnswer | ReleaseKey


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt to take a key: held from now on, or what is in its place."""

    held: bool
    answer_encrypted: str | None = None


class IdempotencyRecords(Protocol):
    """Where keys are kept. Each method is one transaction."""

    async def reserve(self, slot: Slot, who: Identity, now: datetime) -> Reservation:
        """Take a key that is free, has expired, or whose holder is dead or too slow."""
        ...

    async def keep(self, slot: Slot, answer_encrypted: str) -> None:
        """Store the answer of the one that holds the key."""
        ...

    async def release(self, slot: Slot) -> None:
        """Forget a key that its holder has not answered."""
        ...

    async def sweep(self, now: datetime) -> None:
        """Forget what has expired."""
        ...


class Idempotency(Actor):
    """Keeps keys and answers. Two requests with one key are told apart in the records."""

    lanes = (Lane("keys", 32),)

    def __init__(
        self,
        records: IdempotencyRecords,
        vault: Vault,
        who: Identity,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._vault = vault
        self._who = who
        self._now = now

    async def started(self) -> None:
        self.own(self._sweep(), "sweep")

    async def receive(self, message: IdempotencyMessage) -> Any:
        match message:
            case ReserveKey():
                return await self._reserve(message.slot)
            case KeepAnswer():
                return await self._keep(message.slot, message.answer)
            case ReleaseKey():
                return await self._records.release(message.slot)
            case _:
                assert_never(message)

    async def _reserve(self, slot: Slot) -> KeptAnswer | None:
        found = await self._records.reserve(slot, self._who, self._now())
        if found.held:
            return None
        if found.answer_encrypted is None:
            raise Conflict(
                "a request with this Idempotency-Key is being carried out: ask again in a moment",
                code="idempotency_in_progress",
                retry_after=1,
            )
        try:
            return msgspec.json.decode(self._vault.open(found.answer_encrypted), type=KeptAnswer)
        except (VaultError, msgspec.DecodeError):
            raise Rejected(
                "this Idempotency-Key was used, and its answer cannot be read any more: "
                "look whether the request was carried out, then use another key",
                code="idempotency_conflict",
            ) from None

    async def _keep(self, slot: Slot, answer: KeptAnswer) -> None:
        sealed = self._vault.seal(msgspec.json.encode(answer).decode())
        await self._records.keep(slot, sealed)

    async def _sweep(self) -> None:
        while True:
            with contextlib.suppress(Unavailable):  # the next sweep finds as much
                await self._records.sweep(self._now())
            await asyncio.sleep(SWEEP_SECONDS)
