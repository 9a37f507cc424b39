"""The catalogue: packages, their artifacts and bundles, and where they are installed."""

from collections.abc import Callable
from functools import partial

from actors.packages import Artifacts, Bundles, Curator, Installations, Packages, Publisher
from adapters.postgres.bundles import PostgresBundleRecords
from adapters.postgres.curation import PostgresCurationRecords
from adapters.postgres.installations import PostgresInstallationRecords
from adapters.postgres.packages import PostgresPackageRecords
from adapters.postgres.publications import PostgresPublicationRecords
from appstrate.wiring.means import Means


class PackageWiring:
    """Factories of the actors of packages: rows in PostgreSQL, archives in storage."""

    def __init__(self, means: Means) -> None:
        self._pool = means.pool
        self._at = means.at
        self._settings = means.settings
        self._records = PostgresPackageRecords(means.pool)

    def packages(self) -> Callable[[], Packages]:
        return partial(Packages, self._records, self._settings.limits.timeout_ceiling_seconds)

    def artifacts(self) -> Callable[[], Artifacts]:
        return partial(Artifacts, self._records, self._at.storage)

    def publisher(self) -> Callable[[], Publisher]:
        return partial(
            Publisher,
            PostgresPublicationRecords(self._pool),
            self._records,
            self._at.storage,
            self._settings.system_packages,
            self._settings.trust,
        )

    def bundles(self) -> Callable[[], Bundles]:
        return partial(
            Bundles,
            PostgresBundleRecords(self._pool),
            self._at.storage,
            self._at.packages,
            trust=self._settings.trust,
            limits=self._settings.bundle_limits,
        )

    def curator(self) -> Callable[[], Curator]:
        records = PostgresCurationRecords(self._pool)
        return partial(Curator, records, self._records, self._at.storage)

    def installations(self) -> Callable[[], Installations]:
        return partial(Installations, PostgresInstallationRecords(self._pool))
