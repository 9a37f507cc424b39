"""Which of the files an input names a run will get, and as which documents. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from msgspec.structs import replace

from actors.accounts import Caller
from actors.files.inputs import (
    WantedFile,
    constraint_problem,
    data_name,
    invalid_files,
    missing_file,
)
from actors.files.records import Document, FileLimits, InputFile, Upload
from actors.ids import new_document_id
from actors.runtime import FieldProblem, Rejected

Sources: TypeAlias = dict[str, Upload | Document]
"""Uploads and documents the caller may use, by their ids."""

UNKNOWN = "there is no such document, or it is another's upload"


def choose(
    caller: Caller,
    wanted: Sequence[WantedFile],
    sources: Sources,
    parameters: Mapping[str, Any],
    limits: FileLimits,
) -> list[InputFile]:
    """One file for each that is wanted, still without a name in the workspace.

    An upload or document that is wanted twice is one file. Refuses with every file that cannot be
    had or is not accepted, and with the limits.
    """
    if len(wanted) > limits.input_files:
        raise Rejected(
            f"the input has {len(wanted)} files; at most {limits.input_files} are taken",
            code="document_count_exceeded",
        )
    files: list[InputFile] = []
    problems: list[FieldProblem] = []
    of_upload: dict[str, InputFile] = {}
    now = datetime.now(UTC)
    for each in wanted:
        source = sources.get(each.upload or each.document or "")
        file = of_upload.get(each.upload or "") or _file(caller, each, source, limits, now)
        if isinstance(file, str):
            problems.append(missing_file(each, file))
            continue
        if each.upload is not None:
            of_upload[each.upload] = file
        problem = constraint_problem(parameters, each, file.name, file.mime, file.size)
        problems += [problem] if problem is not None else []
        files.append(file)
    if problems:
        raise invalid_files(problems)
    total = sum({file.document: file.size for file in files}.values())
    if total > limits.input_bytes:
        raise Rejected(
            f"the files of the input have {total} bytes together, above the limit of "
            f"{limits.input_bytes}",
            code="payload_too_large",
        )
    return files


def _file(
    caller: Caller,
    wanted: WantedFile,
    source: Upload | Document | None,
    limits: FileLimits,
    now: datetime,
) -> InputFile | str:
    """The file, or a sentence that says why there is none."""
    if wanted.data is not None:
        size = len(wanted.data.content)
        if size > limits.file_bytes:
            return f"has more than {limits.file_bytes} bytes"
        new = _new(caller, limits, now)
        return replace(new, name=data_name(wanted), mime=wanted.data.mime, size=size)
    if isinstance(source, Upload):
        return _of_upload(caller, source, limits, now)
    if source is None:
        return "there is no such upload of yours" if wanted.upload is not None else UNKNOWN
    expired = source.expires_at is not None and source.expires_at <= now
    return UNKNOWN if expired else _of_document(source)


def _of_upload(
    caller: Caller, source: Upload, limits: FileLimits, now: datetime
) -> InputFile | str:
    if source.storage_key is None:
        return "its bytes have not been sent yet"
    if source.consumed_at is not None and limits.reuse_hours == 0:
        return "this upload was given to another run: upload the file again"
    if source.expires_at <= now:
        return "this upload has expired: upload the file again"
    return replace(
        _new(caller, limits, now),
        name=source.name,
        mime=source.mime,
        size=source.size,
        sha256=source.sha256 or "",
        upload=source.id,
        reusable_until=now + timedelta(hours=limits.reuse_hours),
    )


def _of_document(document: Document) -> InputFile:
    return InputFile(
        document=document.id,
        workspace_name="",
        storage_key=document.storage_key,
        name=document.name,
        mime=document.mime,
        size=document.size,
        sha256=document.sha256,
        new=False,
    )


def _new(caller: Caller, limits: FileLimits, now: datetime) -> InputFile:
    _, application = caller.tenant
    document, days = new_document_id(), limits.retention_days
    return InputFile(
        document=document,
        workspace_name="",
        storage_key=f"documents/{application}/{document}",
        name="",
        mime="",
        size=0,
        sha256="",
        new=True,
        expires_at=None if days is None else now + timedelta(days=days),
    )
