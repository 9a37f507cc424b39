"""Which files an input asks for, and what becomes of the input once they are documents. Pure.

A file is given as `upload://<id>`, as `document://<id>`, or in place, as a `data:` URI.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from actors.documents import as_list, as_object
from actors.files.names import LONGEST_NAME, extension_of, is_accepted, read_mime, safe_name
from actors.ids import DocumentId, UploadId
from actors.runtime import FieldProblem, Rejected
from actors.schemas import is_file_field

UPLOAD, DOCUMENT, DATA = "upload://", "document://", "data:"
LARGEST_DATA = 4 * 2**20
DATA_URI = re.compile(
    r"data:(?P<mime>[^;,]*)(?P<parameters>(?:;[^;,]*)*),(?P<payload>.*)", re.DOTALL
)
EXTRA = "_context_documents"


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that came in the input itself."""

    name: str | None
    mime: str
    content: bytes


class WantedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an input: where in it, and which."""

    field: str
    index: int | None
    upload: UploadId | None = None
    document: DocumentId | None = None
    data: DataFile | None = None

    @property
    def place(self) -> str:
        """Where in the input it was asked for."""
        prefix = "context_documents" if self.field == EXTRA else f"input.{self.field}"
        return prefix if self.index is None else f"{prefix}[{self.index}]"


def wanted_files(
    parameters: Mapping[str, Any], values: Mapping[str, Any], extra: Sequence[str] = ()
) -> list[WantedFile]:
    """The files of an input, in the order of its fields; `extra` are further documents.

    `parameters` is the manifest's wrapper of its input schema. Refuses with every problem.
    """
    wanted: list[WantedFile] = []
    problems: list[FieldProblem] = []
    for name, schema in _file_fields(parameters).items():
        value = values.get(name)
        if value is None or value == "":
            continue
        many = _takes_many(schema)
        if many != isinstance(value, list):
            told = "must be a list of files" if many else "must be one file"
            problems.append(_problem(f"input.{name}", told))
            continue
        given = as_list(value) if many else [value]
        problems += _count_problems(name, schema, len(given))
        for index, each in enumerate(given):
            found = _read(name, index if many else None, each)
            (wanted if isinstance(found, WantedFile) else problems).append(found)  # type: ignore[arg-type]
    for index, uri in enumerate(extra):
        found = _read(EXTRA, index, uri)
        if isinstance(found, WantedFile) and found.document is None:
            found = _problem(found.place, f"must be a {DOCUMENT} URI")
        (wanted if isinstance(found, WantedFile) else problems).append(found)  # type: ignore[arg-type]
    if problems:
        raise invalid_files(problems)
    return wanted


def constraint_problem(
    parameters: Mapping[str, Any], wanted: WantedFile, name: str, mime: str, size: int
) -> FieldProblem | None:
    """What the agent's `file_constraints` say against a file."""
    constraints = as_object(as_object(parameters.get("file_constraints")).get(wanted.field))
    accept, most = constraints.get("accept"), constraints.get("max_size")
    listed = accept.split(",") if isinstance(accept, str) else [str(e) for e in as_list(accept)]
    if not is_accepted(listed, name, mime):
        told = f"{name} ({mime}) is not accepted here: it must be {', '.join(listed)}"
        return _problem(wanted.place, told)
    if isinstance(most, int | float) and size > most:
        return _problem(wanted.place, f"{name} has {size} bytes, above the limit of {most:g}")
    return None


def rewritten(
    values: Mapping[str, Any], wanted: Sequence[WantedFile], uris: Sequence[str]
) -> dict[str, Any]:
    """The input with the URIs of documents in the place of files."""
    changed = dict(values)
    for each, uri in zip(wanted, uris, strict=True):
        if each.field == EXTRA:
            continue
        if each.index is None:
            changed[each.field] = uri
        else:
            items = list(changed[each.field])
            items[each.index] = uri
            changed[each.field] = items
    return changed


def invalid_files(problems: Sequence[FieldProblem]) -> Rejected:
    """The refusal of an input because of its files."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Rejected(
        f"{first.field} {first.message}{more}",
        code="validation_failed",
        param=first.field,
        problems=problems,
    )


def missing_file(wanted: WantedFile, what: str) -> FieldProblem:
    """The problem of a file that cannot be had."""
    return _problem(wanted.place, what)


def data_name(wanted: WantedFile) -> str:
    """What a file is called that came without a name."""
    assert wanted.data is not None
    return wanted.data.name or safe_name(f"{wanted.field}{extension_of(wanted.data.mime)}")


def _file_fields(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    properties = as_object(as_object(parameters.get("schema")).get("properties"))
    fields = {name: as_object(schema) for name, schema in properties.items()}
    return {name: schema for name, schema in fields.items() if is_file_field(schema)}


def _takes_many(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "array" or "items" in schema


def _count_problems(name: str, schema: Mapping[str, Any], count: int) -> list[FieldProblem]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    told: list[str] = []
    if isinstance(least, int) and count < least:
        told.append(f"has {count} files; at least {least} are needed")
    if isinstance(most, int) and count > most:
        told.append(f"has {count} files; at most {most} are taken")
    return [_problem(f"input.{name}", each) for each in told]


def _read(field: str, index: int | None, value: Any) -> WantedFile | FieldProblem:
    empty = WantedFile(field=field, index=index)
    if not isinstance(value, str):
        return _problem(empty.place, "must be the URI of a file")
    if value.startswith(UPLOAD):
        return msgspec.structs.replace(empty, upload=UploadId(value.removeprefix(UPLOAD)))
    if value.startswith(DOCUMENT):
        return msgspec.structs.replace(empty, document=DocumentId(value.removeprefix(DOCUMENT)))
    if value.startswith(DATA):
        data = read_data_uri(value)
        if isinstance(data, str):
            return _problem(empty.place, data)
        return msgspec.structs.replace(empty, data=data)
    return _problem(empty.place, f"must be a URI that begins with {UPLOAD}, {DOCUMENT} or {DATA}")


def read_data_uri(uri: str) -> DataFile | str:
    """The file in a data URI; a sentence when it has none that can be used."""
    # Base64 takes four characters for three bytes; the rest is for the head and line breaks.
    too_large = f"has more than {LARGEST_DATA} bytes: upload larger files, and give their URI"
    if len(uri) > LARGEST_DATA * 3 // 2:
        return too_large
    found = DATA_URI.fullmatch(uri)
    parameters = found["parameters"].split(";")[1:] if found else []
    if found is None or "base64" not in [each.strip().lower() for each in parameters]:
        return "must be data:<media type>;name=<name>;base64,<content>"
    mime = read_mime(found["mime"]) if found["mime"] else "text/plain"
    if mime is None:
        return f"{found['mime'][:100]!r} is no media type"
    name = next((unquote(p[5:]) for p in parameters if p.startswith("name=")), None)
    if name is not None and len(name) > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} characters"
    payload = unquote(found["payload"]) if "%" in found["payload"] else found["payload"]
    try:
        content = _decoded(payload)
    except (binascii.Error, ValueError):
        return "its content is no base64"
    if len(content) > LARGEST_DATA:
        return too_large
    return DataFile(name=safe_name(name) if name else None, mime=mime, content=content)


def _decoded(payload: str) -> bytes:
    plain = "".join(payload.split()).rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _problem(field: str, message: str) -> FieldProblem:
    return FieldProblem(field=field, code="invalid_input", message=message)
