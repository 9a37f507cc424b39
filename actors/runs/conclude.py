"""Ending a run, whoever reports its end, and telling everybody."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import structlog

from actors.events import RunChanged, RunLogged
from actors.ids import ApplicationId, PackageId, RunId
from actors.pubsub import Publish, PubSub
from actors.runs.finalize import Report
from actors.runs.records import LogLine, Run, RunRecords
from actors.runtime import Address, Unavailable

log = structlog.get_logger("runs")


async def conclude(
    records: RunRecords, pubsub: Address[PubSub], run: RunId, report: Report
) -> Run | None:
    """End a run as `report` says. None when it had ended already: then nothing happens."""
    ended = await records.finalize(run, report, datetime.now(UTC))
    if ended is None:
        return None
    announce_lines(pubsub, ended.run.application_id, ended.run.package_id, ended.lines)
    announce(pubsub, ended.run)
    return ended.run


async def conclude_surely(
    records: RunRecords, pubsub: Address[PubSub], run: RunId, report: Report
) -> None:
    """The same, however long the database cannot be reached."""
    while True:
        try:
            await conclude(records, pubsub, run, report)
        except Unavailable as refusal:
            log.warning("run cannot be ended yet", run=run, why=refusal.detail)
            await asyncio.sleep(1)
        else:
            return


def announce(
    pubsub: Address[PubSub], run: Run, operation: Literal["INSERT", "UPDATE"] = "UPDATE"
) -> None:
    """Publish what a run is now."""
    pubsub.tell(
        Publish(
            event=RunChanged(
                run=run.id,
                application=run.application_id,
                package=run.package_id,
                update=run.update(operation),
            )
        )
    )


def announce_lines(
    pubsub: Address[PubSub],
    application: ApplicationId,
    package: PackageId | None,
    lines: Sequence[LogLine],
) -> None:
    """Publish new lines of a run's log."""
    for line in lines:
        pubsub.tell(
            Publish(
                event=RunLogged(
                    run=line.run_id,
                    application=application,
                    package=package,
                    position=line.position,
                    line=line.for_stream(application),
                )
            )
        )
