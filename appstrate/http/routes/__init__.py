"""One module of routes per subject of the HTTP contract."""

from collections.abc import Iterable

from appstrate.http.call import Route
from appstrate.http.routes import (
    accounts,
    admin,
    agents,
    applications,
    bundles,
    claim,
    context,
    credentials,
    dead_jobs,
    documents,
    end_users,
    explanations,
    files,
    forks,
    installations,
    internal,
    launches,
    members,
    models,
    notifications,
    organizations,
    packages,
    persistence,
    profile,
    realtime,
    remote,
    run_documents,
    runs,
    schedules,
    sink,
    uploads,
    versions,
    webhooks,
)

SUBJECTS = (
    accounts,
    claim,
    profile,
    context,
    organizations,
    members,
    applications,
    end_users,
    credentials,
    models,
    packages,
    versions,
    files,
    forks,
    installations,
    bundles,
    agents,
    persistence,
    launches,
    runs,
    schedules,
    explanations,
    realtime,
    remote,
    sink,
    internal,
    webhooks,
    notifications,
    admin,
    dead_jobs,
    run_documents,
    uploads,
    documents,
)


def every_route() -> Iterable[Route]:
    """The routes of every subject; the status pages come on top, they know the server."""
    for subject in SUBJECTS:
        yield from subject.routes
