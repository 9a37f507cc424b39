"""What the platform is told of a run: totals, and what fits into its log. Pure."""

import json
from typing import Any

from appstrate.agent.models.turn import Json, Tokens, Turn
from appstrate.agent.settings import Settings

PREVIEW = 512


def metric(tokens: Tokens, rates: dict[str, float]) -> Json:
    """Totals so far, as the platform counts them; the cost only where rates are known."""
    told: Json = {
        "usage": {
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
            "cache_creation_input_tokens": tokens.cache_write,
            "cache_read_input_tokens": tokens.cache_read,
        }
    }
    if rates:
        told["cost"] = (
            tokens.input * rates.get("input", 0)
            + tokens.output * rates.get("output", 0)
            + tokens.cache_read * rates.get("cacheRead", 0)
            + tokens.cache_write * rates.get("cacheWrite", 0)
        ) / 1_000_000
    return told


def turn_data(turn: Turn, index: int, latency: int, settings: Settings) -> Json:
    """A turn's own numbers; `latency` is in milliseconds."""
    return {
        "event": "turn",
        "index": index,
        "latencyMs": latency,
        "inputTokens": turn.tokens.input,
        "outputTokens": turn.tokens.output,
        "cacheReadTokens": turn.tokens.cache_read,
        "cacheWriteTokens": turn.tokens.cache_write,
        "contextTokens": turn.tokens.context,
        "contextWindow": settings.model_context_window,
    }


def shorten(value: Any, limit: int) -> Any:
    """A value for the log, where it may be cut; the model saw all of it."""
    if isinstance(value, str):
        encoded = value.encode(errors="replace")
        if len(encoded) <= limit:
            return value
        return encoded[:limit].decode(errors="ignore") + f"…(truncated, {len(encoded)} bytes)"
    text = json.dumps(value)
    if len(text) <= limit:
        return value
    return {
        "__truncated": True,
        "reason": "size",
        "bytes": len(text),
        "limit": limit,
        "preview": text[: min(PREVIEW, limit)],
    }
