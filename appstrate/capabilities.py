"""What was chosen for each capability, in words."""

from adapters.postgres.settings import ExternalSettings
from appstrate.settings import Settings


def describe(settings: Settings) -> tuple[str, list[tuple[str, str]]]:
    """The tier in a few words, and for each capability what was chosen, and why."""
    external = isinstance(settings.database, ExternalSettings)
    tier = "tier 1: an external PostgreSQL" if external else "tier 0: nothing but this process"
    database = (
        "the PostgreSQL at DATABASE_URL"
        if external
        else "an embedded PostgreSQL under DATA_DIR, because DATABASE_URL is not set"
    )
    return tier, [
        ("Database", database),
        ("Storage", "files, because S3_BUCKET is not set"),
        ("Pub/sub", "within this process, because REDIS_URL is not set"),
        ("Limits", "in this process, because REDIS_URL is not set"),
        ("Queue", "rows of the database, because REDIS_URL is not set"),
        ("Runs", "processes of this machine, because RUN_ADAPTER is not docker"),
    ]
