"""Who uses the platform: users, organizations, members, applications, end users."""

from collections.abc import Callable
from functools import partial

from actors.accounts import Accounts, Applications, EndUsers, Members, Organizations
from adapters.postgres.accounts import PostgresAccountRecords
from adapters.postgres.applications import PostgresApplicationRecords
from adapters.postgres.end_users import PostgresEndUserRecords
from adapters.postgres.members import PostgresMemberRecords
from adapters.postgres.organizations import PostgresOrganizationRecords
from appstrate.wiring.means import Means


class AccountWiring:
    """Factories of the actors of accounts, on PostgreSQL."""

    def __init__(self, means: Means) -> None:
        self._pool = means.pool
        self._at = means.at
        self._access = means.settings.access
        self._files = means.settings.files

    def accounts(self) -> Callable[[], Accounts]:
        return partial(Accounts, PostgresAccountRecords(self._pool), self._access)

    def organizations(self) -> Callable[[], Organizations]:
        records = PostgresOrganizationRecords(self._pool, self._files.org_bytes)
        return partial(Organizations, records, self._at.accounts, self._access)

    def members(self) -> Callable[[], Members]:
        return partial(Members, PostgresMemberRecords(self._pool), self._at.accounts, self._access)

    def applications(self) -> Callable[[], Applications]:
        return partial(Applications, PostgresApplicationRecords(self._pool), self._at.accounts)

    def end_users(self) -> Callable[[], EndUsers]:
        return partial(EndUsers, PostgresEndUserRecords(self._pool), self._at.accounts)
