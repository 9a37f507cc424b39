"""What input a run gets: layers, the later the stronger. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from actors.agents import InputSettings
from actors.documents import as_object
from actors.packages import Manifest
from actors.packages.manifest import parameters
from actors.runtime import FieldProblem, Rejected
from actors.schemas import Schema, coerce, is_file_field

NOTHING = InputSettings()


def resolve_input(
    manifest: Manifest, given: Mapping[str, Any], settings: InputSettings = NOTHING
) -> dict[str, Any]:
    """The effective input: the schema's defaults, what the application has set, then what the
    caller gave, key by key.

    Refuses with `locked_input_field` when the caller names a locked field, and with
    `validation_failed`, naming every field that is wrong.
    """
    schema = parameters(manifest, "input")
    if schema is None:
        return dict(given)
    properties = as_object(schema.get("properties"))
    check_locks(given, [name for name in settings.locked_fields if name in properties])
    defaults = {
        name: as_object(field)["default"]
        for name, field in properties.items()
        if "default" in as_object(field)
    }
    # What another version of the agent declared is of no use to this one.
    set_here = {name: value for name, value in settings.values.items() if name in properties}
    values = coerce(defaults | set_here | dict(given), schema)
    # Whatever a file field holds is looked at where files are fetched.
    anything: dict[str, Any] = {}
    checked = {n: anything if is_file_field(as_object(f)) else f for n, f in properties.items()}
    problems = Schema(schema | {"properties": checked}).problems(values, under="input")
    if problems:
        raise invalid_input(problems)
    return values


def check_locks(given: Mapping[str, Any], locked: Collection[str]) -> None:
    """Refuse an input that names a locked field."""
    for name in locked:
        if name in given:
            message = "is locked in this application: leave it out"
            field = f"input.{name}"
            problem = FieldProblem(field=field, code="locked_input_field", message=message)
            raise Rejected(
                f"{field} {message}", code="locked_input_field", param=field, problems=[problem]
            )


def replayed(input_: Mapping[str, Any] | None, settings: InputSettings) -> dict[str, Any]:
    """The input of an earlier run for another one, without what has been locked since."""
    return {n: value for n, value in (input_ or {}).items() if n not in settings.locked_fields}


def invalid_input(problems: list[FieldProblem]) -> Rejected:
    """The refusal of an input, naming its first problem and carrying all of them."""
    items = [msgspec.structs.replace(p, code="invalid_input") for p in problems]
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Rejected(
        f"{first.field} {first.message}{more}",
        code="validation_failed",
        param=first.field,
        problems=items,
    )
