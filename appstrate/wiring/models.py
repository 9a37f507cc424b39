"""The models that agents talk to, and the keys they are reached with."""

from collections.abc import Callable
from functools import partial

from actors.models import Credentials, Models, built_in
from adapters.postgres.credentials import PostgresCredentialRecords
from adapters.postgres.models import PostgresModelRecords
from appstrate.sidecar.model_probe import HttpModelProbe
from appstrate.wiring.means import Means


class ModelWiring:
    """Factories of the actors of models: rows in PostgreSQL beside what the operator set."""

    def __init__(self, means: Means) -> None:
        self._pool = means.pool
        self._vault = means.vault
        self._at = means.at
        self._egress = means.settings.egress
        self._probe = HttpModelProbe(means.settings.egress)
        self._skipped = means.settings.system_models.skipped
        self._built_in = built_in(means.settings.system_models, means.vault.seal)

    def credentials(self) -> Callable[[], Credentials]:
        return partial(
            Credentials,
            PostgresCredentialRecords(self._pool),
            self._vault,
            self._egress,
            self._probe,
            self._built_in,
            skipped=self._skipped,
        )

    def models(self) -> Callable[[], Models]:
        records = PostgresModelRecords(self._pool)
        return partial(Models, records, self._at.credentials, self._probe, self._built_in)
