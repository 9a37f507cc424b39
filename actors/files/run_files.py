"""The files of runs: those their input names, and those they publish."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.accounts import Caller
from actors.contract import Resource, spell
from actors.files.blobs import FileBlobs
from actors.files.choice import Sources, choose
from actors.files.inputs import DOCUMENT, WantedFile, rewritten, wanted_files
from actors.files.names import unique_names
from actors.files.records import Document, FileLimits, InputFile, OutputRoom, RunFileRecords
from actors.files.views import brought, may_download
from actors.ids import ApplicationId, DocumentId, OrgId, PackageId, RunId, new_document_id
from actors.limiter import Limiter, Rule, TakeTurn
from actors.runtime import Actor, Address, Conflict, Lane, NotFound, Refusal, Rejected, Request
from actors.storage import Blob, Body, OpenBlob, Storage, chunks, close_body

PUBLISHING = Rule(name="run-documents", limit=30, seconds=6)


class TakenFiles(msgspec.Struct, frozen=True, kw_only=True):
    """An input whose files are documents, and those files."""

    values: dict[str, Any]
    files: list[InputFile] = msgspec.field(default_factory=list[InputFile])


class TakeFiles(Request["RunFiles", TakenFiles], frozen=True, kw_only=True):
    """Turn the files an input names into documents of a run to be launched.

    `parameters` is the manifest's wrapper of its input schema, `extra` further documents. Their
    rows are made when the run is admitted. With `check_only` nothing is stored. Refuses with
    `validation_failed` naming each file, `document_count_exceeded` and `payload_too_large`.
    """

    streaming = True
    caller: Caller
    parameters: dict[str, Any]
    values: dict[str, Any]
    extra: list[str] = msgspec.field(default_factory=list[str])
    check_only: bool = False


class DropFiles(Request["RunFiles", None], frozen=True, kw_only=True):
    """Delete what `TakeFiles` has stored, for a run that was not launched after all."""

    files: list[InputFile]


class ListInputs(Request["RunFiles", list[InputFile]], frozen=True, kw_only=True):
    """The files a run reads. Whoever asks has made sure that it is that run."""

    run: RunId


class OpenInput(Request["RunFiles", Blob], frozen=True, kw_only=True):
    """The content of one of them, by its name in the workspace."""

    run: RunId
    name: str


class PublishedDocument(Resource, frozen=True, kw_only=True, rename=spell):
    """A file that a run has published."""

    id: DocumentId
    uri: str
    name: str
    mime: str
    size: int
    sha256: str
    presentation: Literal["primary"] | None


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file; `new` unless the same had been published before."""

    document: PublishedDocument
    new: bool


class PublishOutput(Request["RunFiles", Publication], frozen=True, kw_only=True):
    """Keep a file a run has made. Whoever asks has made sure that it is that run.

    Refuses with `message_replayed`, `run_not_running`, `payload_too_large`,
    `document_count_exceeded`, `storage_limit_exceeded`, and `rate_limited` past 30 in 6 s. The
    body is closed.
    """

    streaming = True
    run: RunId
    org: OrgId
    application: ApplicationId
    package: PackageId | None
    message_id: str
    name: str
    mime: str
    primary: bool
    body: Body
    size: int | None = None


RunFilesMessage: TypeAlias = TakeFiles | DropFiles | ListInputs | OpenInput | PublishOutput


class RunFiles(Actor):
    """Brings files to runs, and takes theirs. Those being sent have a lane of their own."""

    lanes = (
        Lane("transfers", 16, (PublishOutput,), limit=256),
        Lane("rest", 32, limit=2000),
    )

    def __init__(
        self,
        records: RunFileRecords,
        blobs: FileBlobs,
        storage: Address[Storage],
        limiter: Address[Limiter],
        limits: FileLimits,
    ) -> None:
        super().__init__()
        self._records = records
        self._blobs = blobs
        self._storage = storage
        self._limiter = limiter
        self._limits = limits

    async def receive(self, message: RunFilesMessage) -> Any:
        match message:
            case TakeFiles():
                return await self._take(message)
            case DropFiles():
                return self._drop(message.files)
            case ListInputs():
                return await self._records.inputs(message.run)
            case OpenInput():
                return await self._open(message)
            case PublishOutput():
                return await self._publish(message)
            case _:
                assert_never(message)

    async def _take(self, message: TakeFiles) -> TakenFiles:
        wanted = wanted_files(message.parameters, message.values, message.extra)
        if not wanted:
            return TakenFiles(values=message.values)
        sources = await self._sources(message.caller, wanted)
        files = choose(message.caller, wanted, sources, message.parameters, self._limits)
        if not message.check_only:
            files = await self._stored(wanted, files, sources)
        # The same document may be asked for in several places: it is one file.
        uris = [f"{DOCUMENT}{file.document}" for file in files]
        once = list({file.document: file for file in files}.values())
        names = unique_names(file.name for file in once)
        named = [replace(f, workspace_name=n) for f, n in zip(once, names, strict=True)]
        return TakenFiles(values=rewritten(message.values, wanted, uris), files=named)

    async def _sources(self, caller: Caller, wanted: Sequence[WantedFile]) -> Sources:
        uploads = {each.upload for each in wanted if each.upload is not None}
        documents = {each.document for each in wanted if each.document is not None}
        found: Sources = {}
        if uploads:
            for upload in await self._records.uploads(*caller.tenant, [*uploads]):
                if brought(caller, upload.created_by, upload.end_user_id):
                    found[upload.id] = upload
        if documents:
            for document in await self._records.documents(*caller.tenant, [*documents]):
                if may_download(caller, document):
                    found[document.id] = document
        return found

    async def _stored(
        self, wanted: Sequence[WantedFile], files: Sequence[InputFile], sources: Sources
    ) -> list[InputFile]:
        """The same files, their bytes where their documents will be: all of them, or none."""
        done: dict[DocumentId, InputFile] = {}
        try:
            await self._store(wanted, files, sources, done)
        except BaseException:
            self._drop([*done.values()])
            raise
        return [done[file.document] for file in files]

    async def _store(
        self,
        wanted: Sequence[WantedFile],
        files: Sequence[InputFile],
        sources: Sources,
        done: dict[DocumentId, InputFile],
    ) -> None:
        for each, file in zip(wanted, files, strict=True):
            if file.document in done or not file.new:
                done.setdefault(file.document, file)
            elif each.data is not None:
                body, most = chunks(each.data.content), len(each.data.content)
                _, digest = await self._blobs.put(file.storage_key, body, limit=most)
                done[file.document] = replace(file, sha256=digest)
            else:
                source = sources[each.upload or ""].storage_key
                assert source is not None
                await self._blobs.copy(source, file.storage_key)
                done[file.document] = file

    def _drop(self, files: Sequence[InputFile]) -> None:
        for file in files:
            if file.new:
                self._blobs.drop(file.storage_key)

    async def _open(self, message: OpenInput) -> Blob:
        files = {file.workspace_name: file for file in await self._records.inputs(message.run)}
        if message.name not in files:
            raise NotFound("this run has no such file")
        return await self._storage.ask(OpenBlob(key=files[message.name].storage_key))

    async def _publish(self, message: PublishOutput) -> Publication:
        try:
            allowance = await self._limiter.ask(TakeTurn(rule=PUBLISHING, key=message.run))
            allowance.check("this run publishes too fast")
            room = await self._records.claim_message(message.run, message.message_id)
            most = self._room(message, room)
            document, now = new_document_id(), datetime.now(UTC)
            key = f"documents/{message.application}/{document}"
            size, digest = await self._blobs.put(key, message.body, limit=most)
        finally:
            await close_body(message.body)
        days = self._limits.retention_days
        made = Document(
            id=document,
            org_id=message.org,
            application_id=message.application,
            purpose="agent_output",
            run_id=message.run,
            package_id=message.package,
            user_id=None,
            storage_key=key,
            name=message.name,
            mime=message.mime,
            size=size,
            sha256=digest,
            presentation="primary" if message.primary else None,
            expires_at=None if days is None else now + timedelta(days=days),
            created_at=now,
        )
        return await self._add(made)

    async def _add(self, made: Document) -> Publication:
        try:
            kept = await self._records.add_output(made, self._limits)
        except Refusal:
            self._blobs.drop(made.storage_key)
            raise
        if kept.id != made.id:
            self._blobs.drop(made.storage_key)
        names = PublishedDocument.__struct_fields__
        fields = {name: getattr(kept, name) for name in names}
        return Publication(document=PublishedDocument(**fields), new=kept.id == made.id)

    def _room(self, message: PublishOutput, room: OutputRoom) -> int:
        """How many bytes the file may have at most."""
        if not room.running:
            raise Conflict("the run is not running", code="run_not_running")
        if room.replayed:
            raise Conflict("this message id was used before", code="message_replayed")
        if room.files >= self._limits.input_files:
            raise Rejected(
                f"a run publishes at most {self._limits.input_files} files",
                code="document_count_exceeded",
            )
        most = min(self._limits.file_bytes, self._limits.output_bytes - room.size)
        if (message.size or 0) > most or most < 0:
            raise Rejected(f"more than {max(most, 0)} bytes", code="payload_too_large")
        return most
