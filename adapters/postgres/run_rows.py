"""Rows of runs: what is read of them, and what they become."""

from typing import Any

import asyncpg
import msgspec
import structlog

from actors.ids import RunId
from actors.runs import DocumentCounts, Run, RunPlan

log = structlog.get_logger("runs")

# An inline run's agent is no package, but has a name like one.
PACKAGE_ID = """
    CASE WHEN r.package_ephemeral THEN r.agent_scope || '/' || r.agent_name ELSE r.package_id END
"""
ELSEWHERE = {
    "package_id": PACKAGE_ID,
    "user_name": "u.name",
    "api_key_name": "k.name",
    "schedule_name": "sc.name",
    "end_user_name": "e.name",
}
# All that lists show of a run, in the order of its fields, and not the plan, which is long.
SHOWN = Run.__struct_fields__[: Run.__struct_fields__.index("document_counts")]
COLUMNS = f"""
    {", ".join(f"{ELSEWHERE.get(name, f'r.{name}')} AS {name}" for name in SHOWN)},
    r.documents_in, r.documents_out
"""
WHOLE = f"{COLUMNS}, r.inline_manifest, r.inline_prompt"
NAMES = """
    LEFT JOIN users u ON u.id = r.user_id LEFT JOIN api_keys k ON k.id = r.api_key_id
    LEFT JOIN schedules sc ON sc.id = r.schedule_id LEFT JOIN end_users e ON e.id = r.end_user_id
"""


def read_plan(document: Any, run: RunId) -> RunPlan | None:
    """A stored plan. None when there is none, or none that this version can read."""
    if document is None:
        return None
    try:
        return msgspec.convert(document, RunPlan)
    except msgspec.ValidationError as error:
        log.warning("the plan of a run cannot be read", run=run, why=str(error))
        return None


def read_run(row: asyncpg.Record) -> Run:
    """A run from `COLUMNS` or `WHOLE`, whatever follows them."""
    # By position: a page has a thousand values, and to go by their names costs more than the query.
    counts = DocumentCounts(input=row["documents_in"], output=row["documents_out"])
    inline = row.get("inline_manifest"), row.get("inline_prompt")
    fields: tuple[Any, ...] = (*row[: len(SHOWN)], counts, *inline)
    return Run(*fields)
