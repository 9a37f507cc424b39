"""Inserting runs, one or many, in one statement."""

from collections.abc import Iterator, Sequence
from typing import Any

import asyncpg
import msgspec

from actors.packages import split_name
from actors.runs import LogLine, NewRun, Run
from adapters.postgres.run_rows import NAMES, WHOLE, read_run

# What is given of each run: its row, the due time it comes of, its sink, its log's first line.
ROW = {
    **dict.fromkeys(("id", "org_id", "application_id", "package_id", "agent_scope"), "text"),
    **dict.fromkeys(("agent_name", "user_id", "end_user_id", "api_key_id"), "text"),
    **dict.fromkeys(("version_label", "version_ref", "model_label", "model_source"), "text"),
    **dict.fromkeys(("model_credential_id", "runner_name", "runner_kind"), "text"),
    **dict.fromkeys(("run_origin", "inline_prompt", "schedule_id"), "text"),
    **dict.fromkeys(("input", "plan", "output_schema", "inline_manifest"), "json"),
    **dict.fromkeys(("generation", "generation_override", "connection_overrides"), "json"),
    **dict.fromkeys(("dependency_overrides", "context_snapshot"), "json"),
    "package_ephemeral": "boolean",
    "documents_in": "integer",
}
GIVEN = ROW | {
    "due_at": "timestamptz",
    "secret": "text",
    "expires_at": "timestamptz",
    "data": "json",
    **dict.fromkeys(("type", "level", "event", "message"), "text"),
}
# Arrays of JSON travel as text: the driver knows none with a codec of its own.
ARRAYS = ", ".join(
    f"${place}::{'text' if kind == 'json' else kind}[]"
    for place, kind in enumerate(GIVEN.values(), 2)
)
VALUES = ", ".join(f"{name}::{kind}" for name, kind in ROW.items())

# The runs of an organization are admitted in their order, which their times keep, as long as it has
# places; one that comes
# of a due time only if that is still due. Everybody locks due times first, then counters in order.
LAUNCH = f"""
    WITH given AS (
        SELECT *, CASE WHEN package_ephemeral THEN '@inline' ELSE agent_scope || '/' || agent_name
            END AS counter, row_number() OVER (PARTITION BY org_id ORDER BY place) AS nth
        FROM unnest({ARRAYS}) WITH ORDINALITY AS g({", ".join(GIVEN)}, place)
    ), room AS (
        SELECT org_id, $1 - (
            SELECT count(*) FROM runs r WHERE r.org_id = g.org_id AND r.status = 'pending'
        ) AS places FROM (SELECT DISTINCT org_id FROM given) g
    ), fire AS (
        UPDATE schedule_fires f SET state = 'fired', run_id = g.id, lease_until = NULL
        FROM given g JOIN room USING (org_id)
        WHERE (f.schedule_id, f.due_at, f.state) = (g.schedule_id, g.due_at, 'due')
            AND g.nth <= places
        RETURNING f.run_id
    ), admitted AS (
        SELECT *, row_number() OVER (PARTITION BY application_id, counter ORDER BY place) AS number,
            count(*) OVER (PARTITION BY application_id, counter) AS many
        FROM given JOIN room USING (org_id)
        WHERE nth <= places AND (due_at IS NULL OR id IN (SELECT run_id FROM fire))
    ), counted AS (
        INSERT INTO run_counters
        SELECT application_id, counter, count(*) FROM admitted GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (application_id, package_id)
        DO UPDATE SET last_number = run_counters.last_number + excluded.last_number
        RETURNING application_id, package_id AS counter, last_number
    ), last AS (
        UPDATE schedules s SET last_run_at = now() FROM (
            SELECT DISTINCT schedule_id, org_id FROM admitted WHERE schedule_id IS NOT NULL
        ) a WHERE s.id = a.schedule_id AND s.org_id = a.org_id
    ), r AS (
        INSERT INTO runs ({", ".join(ROW)}, run_number, started_at)
        SELECT {VALUES}, last_number - many + number, now() + (place - 1) * interval '1 microsecond'
        FROM admitted JOIN counted USING (application_id, counter) ORDER BY place
        RETURNING *
    ), sink AS (
        INSERT INTO run_sinks (run_id, org_id, secret_encrypted, expires_at, log_position)
        SELECT id, org_id, secret, expires_at, 1 FROM admitted
    ), line AS (
        INSERT INTO run_logs (run_id, org_id, position, type, level, event, message, data)
        SELECT id, org_id, 1, type, level, event, message, data::json FROM admitted ORDER BY place
        RETURNING run_id, id AS line_id, created_at AS line_created_at
    )
    SELECT {WHOLE}, line_id, line_created_at FROM r JOIN line ON line.run_id = r.id {NAMES}
"""


async def launch(
    connection: asyncpg.Connection, new: Sequence[NewRun], most_pending: int
) -> list[tuple[Run, LogLine]]:
    """Insert runs; those that were, in the order they were given."""
    columns = zip(*([*_values(each)] for each in new), strict=True)
    rows = await connection.fetch(LAUNCH, most_pending, *map(list, columns))
    found = {row["id"]: row for row in rows}
    return [_launched(found[each.plan.run], each) for each in new if each.plan.run in found]


def _values(new: NewRun) -> Iterator[Any]:
    row = _row(new)
    for name, kind in GIVEN.items():
        value = row.get(name)
        as_json = kind == "json" and value is not None
        yield msgspec.json.encode(value).decode() if as_json else value


def _row(new: NewRun) -> dict[str, Any]:
    plan, first = new.plan, new.first
    scope, name = split_name(plan.package)
    row: dict[str, Any] = {
        "id": plan.run,
        "org_id": plan.org,
        "application_id": plan.application,
        "package_id": None if plan.inline else plan.package,
        "agent_scope": scope,
        "agent_name": name,
        "user_id": plan.user,
        "end_user_id": plan.end_user,
        "api_key_id": plan.api_key,
        "version_label": plan.agent.version_label,
        "version_ref": plan.agent.version_ref,
        "plan": plan,
        "run_origin": plan.origin,
        "package_ephemeral": plan.inline is not None,
        "documents_in": len(plan.files),
        "secret": new.sealed_secret,
        "expires_at": new.expires_at,
    }
    for field in ("runner_name", "runner_kind", "input", "output_schema", "generation"):
        row[field] = getattr(plan, field)
    for field in ("generation_override", "connection_overrides", "dependency_overrides"):
        row[field] = getattr(plan, field)
    row["context_snapshot"] = plan.context_snapshot
    if plan.model:
        row["model_label"], row["model_source"] = plan.model.label, plan.model.source
        row["model_credential_id"] = plan.model.org_credential
    if plan.inline:
        row["inline_manifest"], row["inline_prompt"] = plan.inline.manifest, plan.inline.prompt
    if plan.fire:
        row["schedule_id"], row["due_at"] = plan.fire.schedule, plan.fire.due_at
    for field in ("type", "level", "event", "message", "data"):
        row[field] = getattr(first, field)
    return row


def _launched(row: asyncpg.Record, new: NewRun) -> tuple[Run, LogLine]:
    first = new.first
    line = LogLine(
        id=row["line_id"],
        run_id=new.plan.run,
        org_id=new.plan.org,
        type=first.type,
        level=first.level,
        event=first.event,
        message=first.message,
        data=first.data,
        created_at=row["line_created_at"],
        position=1,
    )
    return read_run(row), line
