"""Every fact the platform announces on its bus.

An event carries its payload exactly as streams send it: camelCase, bounded, ready to encode. Each
is published after the transaction that made it true.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from actors.ids import ApplicationId, OrgId, PackageId, RunId
from actors.runtime import Event

TEXT_LIMIT = 2000
DELIVERIES = "webhook.deliver"
"""The topic of the jobs that deliver one event to one webhook each."""


class RunUpdate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run as streams show it."""

    operation: Literal["INSERT", "UPDATE"]
    id: RunId
    package_id: PackageId | None
    status: str
    user_id: str | None
    end_user_id: str | None = None
    org_id: OrgId
    application_id: ApplicationId
    schedule_id: str | None = None
    error: str | None
    started_at: datetime
    completed_at: datetime | None
    duration: int | None


class RunLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A log line as streams show it."""

    id: int
    run_id: RunId
    org_id: OrgId
    application_id: ApplicationId
    type: str
    level: str
    event: str | None
    message: str | None
    data: Any = None
    created_at: datetime


class RunTotals(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Tokens and cost so far."""

    run_id: RunId
    org_id: OrgId
    application_id: ApplicationId
    package_id: PackageId | None
    token_usage: dict[str, int] | None
    cost_so_far: float | None
    cost_pricing_status: str | None = None


class _OfRun(Event, frozen=True, kw_only=True):
    """Something about one run: heard under the run, its agent and its application."""

    run: RunId
    application: ApplicationId
    package: PackageId | None

    @property
    def topics(self) -> tuple[str, ...]:
        of_application = run_topic(self.run), application_topic(self.application)
        if self.package is None:
            return of_application
        return *of_application, agent_topic(self.application, self.package)


class RunChanged(_OfRun, frozen=True, kw_only=True):
    """A run was made, was started, or has ended."""

    update: RunUpdate


class RunLogged(_OfRun, frozen=True, kw_only=True):
    """A line was added to a run's log. Positions count 1, 2, 3 …, so a gap is visible."""

    position: int
    line: RunLine


class RunMetered(_OfRun, frozen=True, kw_only=True):
    """A run has used more tokens."""

    totals: RunTotals


class JobsAdded(Event, frozen=True, kw_only=True):
    """Jobs of a queue's topic were added, in the transaction of what they follow from."""

    topic: str

    @property
    def topics(self) -> tuple[str, ...]:
        return (jobs_topic(self.topic),)


def jobs_topic(topic: str) -> str:
    """The topic on the bus of jobs that were added to a topic of the queue."""
    return f"jobs/{topic}"


def run_topic(run: RunId) -> str:
    """The topic of one run."""
    return f"run/{run}"


def application_topic(application: ApplicationId) -> str:
    """The topic of every run of an application."""
    return f"application/{application}"


def agent_topic(application: ApplicationId, package: PackageId) -> str:
    """The topic of the runs of one agent in an application."""
    return f"agent/{application}/{package}"
