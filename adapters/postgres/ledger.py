"""The ledger of what runs cost in PostgreSQL."""

from typing import Any

import asyncpg
import msgspec
import structlog

from actors.ids import RunId
from actors.models import ChosenModel
from actors.runs import Totals, Usage, price

log = structlog.get_logger("runs")

# Totals only grow: a metric that comes late, or from an agent that has lost count, changes nothing.
UPSERT = """
    INSERT INTO llm_usage (source, run_id, org_id, api_key_id, user_id, model, real_model, api,
        credential_source, rates, input_tokens, output_tokens, cache_read_tokens,
        cache_write_tokens, cost_usd, pricing_status)
    SELECT 'runner', id, org_id, api_key_id, CASE WHEN api_key_id IS NULL THEN user_id END,
        $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
    FROM runs WHERE id = $1
    ON CONFLICT (run_id) WHERE source = 'runner' DO UPDATE SET
        input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
        cache_read_tokens = excluded.cache_read_tokens,
        cache_write_tokens = excluded.cache_write_tokens, cost_usd = excluded.cost_usd,
        pricing_status = excluded.pricing_status, updated_at = now()
    WHERE excluded.cost_usd > llm_usage.cost_usd OR excluded.cost_usd = llm_usage.cost_usd
        AND excluded.input_tokens + excluded.output_tokens + excluded.cache_read_tokens
            + excluded.cache_write_tokens
        > llm_usage.input_tokens + llm_usage.output_tokens + llm_usage.cache_read_tokens
            + llm_usage.cache_write_tokens
"""
STATUSES = "ARRAY['priced', 'partial', 'unpriced']"
SUM = f"""
    UPDATE runs SET token_usage = $2, cost = nullif(ledger.cost, 0),
        cost_pricing_status = ledger.status
    FROM (
        SELECT coalesce(sum(cost_usd), 0) AS cost,
               ({STATUSES})[max(array_position({STATUSES}, pricing_status))] AS status
        FROM llm_usage WHERE run_id = $1
    ) ledger
    WHERE id = $1 RETURNING ledger.cost, ledger.status
"""


async def meter(
    connection: asyncpg.Connection, run: RunId, usage: Usage | None, told: float | None
) -> Totals:
    """Write down what a run has used so far, and what that costs. The caller holds its sink row,
    which is open: nothing changes what an ended run has cost.
    """
    row = await connection.fetchrow(
        "SELECT plan -> 'model' AS model, token_usage FROM runs WHERE id = $1", run
    )
    assert row is not None
    used = usage or Usage(**(row["token_usage"] or {}))
    model = _model(row["model"], run)
    charge = price(used, model.cost if model else None, told)
    if charge.cost or used != Usage():
        known: tuple[Any, ...] = (None, None, None, None, None)
        if model is not None:
            names = (model.public_id, model.model_id, model.api_shape)
            known = (*names, model.source, model.cost)
        await connection.execute(
            UPSERT,
            *(run, *known, used.input_tokens, used.output_tokens, used.cache_read_input_tokens),
            *(used.cache_creation_input_tokens, charge.cost, charge.status),
        )
    summed = await connection.fetchrow(SUM, run, used.to_json())
    assert summed is not None
    return Totals(usage=used, cost=summed["cost"], status=summed["status"])


def _model(document: Any, run: RunId) -> ChosenModel | None:
    try:
        return None if document is None else msgspec.convert(document, ChosenModel)
    except msgspec.ValidationError as error:
        log.warning("the model of a run cannot be read", run=run, why=str(error))
        return None
