"""Ending a run, whoever reports its end, and telling everybody."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import structlog

from actors.events import DELIVERIES, JobsAdded, RunChanged, RunLogged
from actors.ids import ApplicationId, PackageId, RunId
from actors.pubsub import Publish, PubSub
from actors.runs.finalize import Report
from actors.runs.records import LogLine, Run, RunRecords
from actors.runtime import Address, Refusal, Unavailable

log = structlog.get_logger("runs")

UNWRITABLE = "The platform could not record how the run ended; its log has what it did until then."


class RunEndings:
    """Ends runs in the records, and tells everybody."""

    def __init__(self, records: RunRecords, pubsub: Address[PubSub]) -> None:
        self._records = records
        self._pubsub = pubsub

    async def end(self, run: RunId, report: Report) -> Run | None:
        """End a run as `report` says. None when it had ended already: then nothing happens.

        A run whose end cannot be worked out or written still ends: failed, without what it left.
        """
        now = datetime.now(UTC)
        try:
            ended = await self._records.finalize(run, report, now)
        except Refusal:
            raise
        except Exception:
            log.exception("run cannot be ended as reported", run=run)
            ended = await self._records.abandon(run, UNWRITABLE, now)
        if ended is None:
            return None
        announce_lines(self._pubsub, ended.run.application_id, ended.run.package_id, ended.lines)
        announce(self._pubsub, ended.run)
        if ended.tells:
            announce_deliveries(self._pubsub)
        return ended.run

    async def end_surely(self, run: RunId, report: Report) -> None:
        """The same, however long the database cannot be reached. Never raises.

        A run that could not be ended for another reason is logged, and found again at the next
        boot.
        """
        while True:
            try:
                await self.end(run, report)
            except Unavailable as refusal:
                log.warning("run cannot be ended yet", run=run, why=refusal.detail)
                await asyncio.sleep(1)
            except Exception:
                log.exception("run cannot be ended", run=run)
                return
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


def announce_deliveries(pubsub: Address[PubSub]) -> None:
    """Publish that there are jobs which tell webhooks of a run."""
    pubsub.tell(Publish(event=JobsAdded(topic=DELIVERIES)))


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
