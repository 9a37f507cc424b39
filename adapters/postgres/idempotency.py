"""Idempotency keys in PostgreSQL."""

from datetime import datetime

from actors.idempotency import LIFE, LONGEST_REQUEST, Reservation, Slot
from actors.runs import Identity
from adapters.postgres.pool import Pool

IS_SLOT = "k.scope = $1 AND k.method = $2 AND k.path = $3 AND k.key = $4"


class PostgresIdempotencyRecords:
    """`IdempotencyRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def reserve(self, slot: Slot, who: Identity, now: datetime) -> Reservation:
        async with self._pool.transaction() as connection:
            held = await connection.fetchval(
                """
                INSERT INTO idempotency_keys AS k (scope, method, path, key, holder, instance_id,
                                                   boot_id, created_at, expires_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                ON CONFLICT (scope, method, path, key) DO UPDATE SET
                    holder = excluded.holder, instance_id = excluded.instance_id,
                    boot_id = excluded.boot_id, created_at = excluded.created_at,
                    expires_at = excluded.expires_at, answer_encrypted = NULL
                WHERE k.expires_at <= $8 OR (k.answer_encrypted IS NULL AND (
                    k.created_at <= $10 OR NOT EXISTS (
                        SELECT 1 FROM instances i WHERE i.id = k.instance_id
                        AND i.boot_id = k.boot_id AND i.lease_until > now()
                    )
                ))
                RETURNING true
                """,
                *_names(slot),
                *(slot.holder, who.instance, who.boot, now, now + LIFE, now - LONGEST_REQUEST),
            )
            if held:
                return Reservation(held=True)
            # The insert has met the row and waited for its lock; if it is gone by now, the one
            # that held it was carrying the request out a moment ago.
            answer: str | None = await connection.fetchval(
                f"SELECT answer_encrypted FROM idempotency_keys k WHERE {IS_SLOT}", *_names(slot)
            )
        return Reservation(held=False, answer_encrypted=answer)

    async def keep(self, slot: Slot, answer_encrypted: str) -> None:
        await self._pool.execute(
            f"""
            UPDATE idempotency_keys k SET answer_encrypted = $6
            WHERE {IS_SLOT} AND k.holder = $5
            """,
            *_names(slot),
            *(slot.holder, answer_encrypted),
        )

    async def release(self, slot: Slot) -> None:
        await self._pool.execute(
            f"""
            DELETE FROM idempotency_keys k
            WHERE {IS_SLOT} AND k.holder = $5 AND k.answer_encrypted IS NULL
            """,
            *_names(slot),
            slot.holder,
        )

    async def sweep(self, now: datetime) -> None:
        await self._pool.execute("DELETE FROM idempotency_keys WHERE expires_at <= $1", now)


def _names(slot: Slot) -> tuple[str, str, str, str]:
    return slot.scope, slot.method, slot.path, slot.key
