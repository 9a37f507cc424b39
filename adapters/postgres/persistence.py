"""What agents keep between runs, in PostgreSQL."""

from typing import Any

import asyncpg
import msgspec

from actors.contract import pick
from actors.ids import ApplicationId, OrgId, PackageId, RunId
from actors.persistence import (
    CHECKPOINT,
    MOST_NOTES,
    MOST_SLOTS,
    Choice,
    Dropped,
    Entry,
    Kept,
    Memory,
    PastRun,
    Viewer,
)
from adapters.postgres.pool import Pool

# What is told at once: more than one user and what is shared may take, less than a server minds.
MOST_ENTRIES = 1000
MOST_BYTES = 16 * 1024 * 1024

ACTOR = """
    CASE WHEN p.user_id IS NOT NULL THEN 'user' WHEN p.end_user_id IS NOT NULL THEN 'end_user'
         ELSE 'shared' END AS actor_type,
    coalesce(p.user_id, p.end_user_id) AS actor_id
"""
# What a viewer sees: $1 organization, $2 application, $3 agent, $4 user, $5 end user.
OWN = "(p.user_id = $4 OR p.end_user_id = $5)"
VISIBLE = f"""
    p.org_id = $1 AND p.application_id = $2 AND p.package_id = $3
    AND (p.user_id IS NULL AND p.end_user_id IS NULL OR {OWN})
"""
CHOSEN = """
    p.org_id = $1 AND p.application_id = $2 AND p.package_id = $3
    AND ($4::boolean IS NULL OR p.pinned = $4)
    AND ($5::text IS NULL OR $5 = CASE WHEN p.user_id IS NOT NULL THEN 'user'
         WHEN p.end_user_id IS NOT NULL THEN 'end_user' ELSE 'shared' END)
    AND ($6::text IS NULL OR coalesce(p.user_id, p.end_user_id) = $6)
    AND ($7::text IS NULL OR p.run_id = $7)
    AND ($8::bigint IS NULL OR p.id = $8)
    AND ($9::text IS NULL OR p.user_id = $9 OR p.user_id IS NULL AND p.end_user_id IS NULL)
"""


class PostgresPersistenceRecords:
    """`PersistenceRecords` over the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def slots(self, viewer: Viewer) -> dict[str, Any]:
        rows = await self._pool.fetch(
            f"""
            SELECT DISTINCT ON (p.key) p.key, p.content FROM package_persistence p
            WHERE {VISIBLE} AND p.key IS NOT NULL
            ORDER BY p.key, coalesce({OWN}, false) DESC
            """,
            *_of(viewer),
        )
        return {row["key"]: row["content"] for row in rows}

    async def recall(self, viewer: Viewer, text: str, limit: int) -> list[Memory]:
        rows = await self._pool.fetch(
            f"""
            SELECT p.id, p.content, p.created_at, {ACTOR} FROM package_persistence p
            WHERE {VISIBLE} AND NOT p.pinned ORDER BY p.id DESC
            """,
            *_of(viewer),
        )
        # They are few, and only here upper case is known in every script, whatever the locale of
        # the database.
        wanted = text.casefold()
        found = [row for row in rows if wanted in row["content"].casefold()]
        return [Memory(**dict(row)) for row in found[:limit]]

    async def history(self, viewer: Viewer, but: RunId, limit: int) -> list[PastRun]:
        rows = await self._pool.fetch(
            """
            SELECT id, status, started_at, duration, checkpoint, result FROM runs
            WHERE org_id = $1 AND application_id = $2 AND package_id = $3
              AND (user_id = $4 OR end_user_id = $5) AND status = 'success' AND id <> $6
            ORDER BY started_at DESC, id DESC LIMIT $7
            """,
            *(*_of(viewer), but, limit),
        )
        return [PastRun(**dict(row)) for row in rows]

    async def entries(
        self, org: OrgId, application: ApplicationId, package: PackageId, choice: Choice
    ) -> tuple[list[Entry], bool]:
        rows = await self._pool.fetch(
            f"""
            SELECT e.*, count(*) OVER () < e.there AS more FROM (
                SELECT p.*, {ACTOR}, octet_length(p.content::text) AS size,
                       sum(octet_length(p.content::text)) OVER latest AS until,
                       (SELECT count(*) FROM package_persistence p WHERE {CHOSEN}) AS there
                FROM package_persistence p WHERE {CHOSEN}
                WINDOW latest AS (ORDER BY p.updated_at DESC, p.id DESC ROWS UNBOUNDED PRECEDING)
                ORDER BY p.updated_at DESC, p.id DESC LIMIT $10
            ) e
            WHERE e.until - e.size < $11 ORDER BY e.updated_at DESC, e.id DESC
            """,
            *(org, application, package, *_parts(choice), MOST_ENTRIES, MOST_BYTES),
        )
        return [Entry(**pick(Entry, row)) for row in rows], any(row["more"] for row in rows)

    async def forget(
        self, org: OrgId, application: ApplicationId, package: PackageId, choice: Choice
    ) -> int:
        rows = await self._pool.fetch(
            f"DELETE FROM package_persistence p WHERE {CHOSEN} RETURNING 1",
            *(org, application, package, *_parts(choice)),
        )
        return len(rows)


async def keep(connection: asyncpg.Connection, run: RunId, kept: Kept) -> Dropped:
    """Write what a run leaves, in the transaction that ends it; what found no room.

    A run whose agent is gone, or is no package, leaves nothing; one whose user or end user is gone
    leaves only what is shared.
    """
    if kept.nothing:
        return Dropped()
    # Whoever deletes an end user holds their runs first: in this order nobody waits in a circle.
    row = await connection.fetchrow(
        """
        SELECT org_id, application_id, package_id, user_id, end_user_id FROM runs
        WHERE id = $1 AND package_id IS NOT NULL FOR NO KEY UPDATE
        """,
        run,
    )
    if row is None:
        return Dropped()
    # One at a time, or two runs that end together would find room for their notes twice.
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1 || $2, 0))",
        *(row["application_id"], row["package_id"]),
    )
    dropped = Dropped()
    for scope in ("actor", "shared"):
        whose = (row["user_id"], row["end_user_id"]) if scope == "actor" else (None, None)
        notes = [note.content for note in kept.notes if note.scope == scope]
        slots = {slot.key: slot.content for slot in kept.slots if slot.scope == scope}
        if scope == "actor" and whose == (None, None):
            continue
        of = (row["org_id"], row["application_id"], row["package_id"], *whose, run)
        dropped += Dropped(
            notes=await _add_notes(connection, of, notes),
            slots=await _set_slots(connection, of, slots),
        )
    return dropped


async def _add_notes(connection: asyncpg.Connection, of: tuple[Any, ...], notes: list[str]) -> int:
    if not notes:
        return 0
    added = await connection.fetch(
        """
        INSERT INTO package_persistence
            (org_id, application_id, package_id, user_id, end_user_id, run_id, pinned, content)
        SELECT $1, $2, $3, $4, $5, $6, false, to_json(n.content)
        FROM unnest($7::text[]) WITH ORDINALITY AS n (content, i)
        WHERE n.i <= $8 - (
            SELECT count(*) FROM package_persistence
            WHERE application_id = $2 AND package_id = $3 AND NOT pinned
              AND user_id IS NOT DISTINCT FROM $4 AND end_user_id IS NOT DISTINCT FROM $5
        )
        ORDER BY n.i
        RETURNING 1
        """,
        *(*of, notes, MOST_NOTES),
    )
    return len(notes) - len(added)


async def _set_slots(
    connection: asyncpg.Connection, of: tuple[Any, ...], slots: dict[str, Any]
) -> int:
    if not slots:
        return 0
    rows = await connection.fetch(
        """
        SELECT key FROM package_persistence WHERE application_id = $2 AND package_id = $3
            AND user_id IS NOT DISTINCT FROM $4 AND end_user_id IS NOT DISTINCT FROM $5
            AND org_id = $1 AND key IS NOT NULL
        """,
        *of[:5],
    )
    taken = {row["key"] for row in rows}
    # What is there is written over; the state to go on from finds room before all that is new.
    new = sorted((key for key in slots if key not in taken), key=lambda key: key != CHECKPOINT)
    too_many = new[max(0, MOST_SLOTS - len(taken)) :]
    written = {key: value for key, value in slots.items() if key not in too_many}
    await connection.execute(
        """
        INSERT INTO package_persistence AS p (org_id, application_id, package_id, user_id,
            end_user_id, run_id, pinned, key, content)
        SELECT $1, $2, $3, $4, $5, $6, true, s.key, s.content::json
        FROM unnest($7::text[], $8::text[]) AS s (key, content)
        ON CONFLICT (application_id, package_id, coalesce(user_id, end_user_id, ''), key)
            WHERE key IS NOT NULL
        DO UPDATE SET content = excluded.content, run_id = excluded.run_id, updated_at = now()
        """,
        *(*of, list(written), [msgspec.json.encode(each).decode() for each in written.values()]),
    )
    return len(too_many)


def _of(viewer: Viewer) -> tuple[Any, ...]:
    whose = (viewer.user, viewer.end_user)
    return (viewer.org, viewer.application, viewer.package, *whose)


def _parts(choice: Choice) -> tuple[Any, ...]:
    pinned = None if choice.kind is None else choice.kind == "pinned"
    actor = (choice.actor_type, choice.actor_id)
    return (pinned, *actor, choice.run, choice.id, choice.seen_by)
