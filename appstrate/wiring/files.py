"""What people and runs store: uploads, documents, the files of runs."""

from collections.abc import Callable
from functools import partial

from actors.files import Documents, FileBlobs, FileSweeper, FileTokens, RunFiles, Uploads
from adapters.postgres.files import (
    PostgresDocumentRecords,
    PostgresSweepRecords,
    PostgresUploadRecords,
)
from adapters.postgres.run_files import PostgresRunFileRecords
from appstrate.wiring.means import Means


class FileWiring:
    """Factories of the actors of files: rows in PostgreSQL, blobs in whatever stores them."""

    def __init__(self, means: Means) -> None:
        self._pool = means.pool
        self._at = means.at
        self._limits = means.settings.files
        self._tokens = FileTokens(means.settings.keys.uploads)
        self._blobs = FileBlobs(means.at.storage, means.at.queue)

    def uploads(self) -> Callable[[], Uploads]:
        records = PostgresUploadRecords(self._pool)
        return partial(Uploads, records, self._blobs, self._tokens, self._limits)

    def documents(self) -> Callable[[], Documents]:
        records = PostgresDocumentRecords(self._pool)
        return partial(Documents, records, self._at.storage, self._tokens)

    def run_files(self) -> Callable[[], RunFiles]:
        records, at = PostgresRunFileRecords(self._pool), self._at
        return partial(RunFiles, records, self._blobs, at.storage, at.limiter, self._limits)

    def sweeper(self) -> Callable[[], FileSweeper]:
        records = PostgresSweepRecords(self._pool)
        return partial(FileSweeper, records, self._at.storage, self._at.queue)
