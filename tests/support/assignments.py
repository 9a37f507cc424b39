"""Assignments for agents."""


def assignment(**changes: str) -> dict[str, str]:
    """A complete assignment, with changes."""
    return {
        "AGENT_RUN_ID": "run_1",
        "AGENT_PROMPT": "Do it.",
        "AGENT_DOCUMENTS": "0",
        "MODEL_API": "openai-completions",
        "MODEL_ID": "m",
        "MODEL_BASE_URL": "http://127.0.0.1:9/v1",
        "APPSTRATE_SINK_URL": "http://127.0.0.1:9/api/runs/run_1/events",
        "APPSTRATE_SINK_FINALIZE_URL": "http://127.0.0.1:9/api/runs/run_1/events/finalize",
        "APPSTRATE_SINK_SECRET": "s" * 43,
    } | changes
