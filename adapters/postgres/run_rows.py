"""Rows of runs: what is read of them, and what they become."""

from typing import Any

import asyncpg
import msgspec
import structlog

from actors.contract import pick
from actors.ids import RunId
from actors.runs import DocumentCounts, Run, RunPlan

log = structlog.get_logger("runs")

# An inline run's agent is no package, but has a name like one.
PACKAGE_ID = """
    CASE WHEN r.package_ephemeral THEN r.agent_scope || '/' || r.agent_name ELSE r.package_id END
"""
# All that lists show of a run, and not the plan, which is long.
COLUMNS = f"""
    r.id, r.org_id, r.application_id, {PACKAGE_ID} AS package_id, r.agent_scope, r.agent_name,
    r.run_number, r.run_origin, r.user_id, r.api_key_id, r.status, r.input, r.result, r.error,
    r.checkpoint, r.artifacts, r.metadata, r.token_usage, r.cost, r.cost_pricing_status,
    r.version_label, r.version_ref, r.model_label, r.model_source, r.model_credential_id,
    r.runner_name, r.runner_kind, r.started_at, r.completed_at, r.duration, r.generation,
    r.generation_override, r.connection_overrides, r.dependency_overrides, r.proxy_label,
    r.documents_in, r.documents_out, r.primary_document_id,
    r.context_snapshot, r.package_ephemeral, r.schedule_id, u.name AS user_name,
    k.name AS api_key_name, sc.name AS schedule_name, r.end_user_id, e.name AS end_user_name
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
    """A run from its columns."""
    fields: dict[str, Any] = pick(Run, row)
    counts = DocumentCounts(input=row["documents_in"], output=row["documents_out"])
    return Run(**fields, document_counts=counts)
