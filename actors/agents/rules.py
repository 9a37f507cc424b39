"""Rules of input settings. Pure."""

from collections.abc import Mapping
from typing import Any

from actors.agents.setup import InputSettings
from actors.documents import as_list, as_object
from actors.runtime import FieldProblem, Rejected
from actors.schemas import Schema, coerce, is_file_field

EMPTY = (None, "")


def accept(schema: Mapping[str, Any], given: InputSettings) -> InputSettings:
    """The settings as they are kept: what the schema does not declare is left out.

    Refuses values that do not fit with `validation_failed`, and a locked field that must have a
    value and has none with `locked_required_field_empty`.
    """
    properties = as_object(schema.get("properties"))
    declared = {name: value for name, value in given.values.items() if name in properties}
    values = _fitting(schema, declared)
    locked = [name for name in dict.fromkeys(given.locked_fields) if name in properties]
    for name in locked:
        default = as_object(properties[name]).get("default")
        empty = values.get(name) in EMPTY and default in EMPTY
        if empty and name in as_list(schema.get("required")):
            message = "is required: give it a value before you lock it"
            problem = FieldProblem(
                field=f"values.{name}", code="locked_required_field_empty", message=message
            )
            raise Rejected(
                f"{name} {message}", code=problem.code, param=problem.field, problems=[problem]
            )
    return InputSettings(values=values, locked_fields=locked)


def _fitting(schema: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Each value for itself: what is missing is not looked for, callers may bring it."""
    properties = as_object(schema.get("properties"))
    # Null takes a value back; whatever a file field holds is looked at where files are fetched.
    present = {name: value for name, value in values.items() if value is not None}
    anything: dict[str, Any] = {}
    fields: dict[str, Any] = {
        name: anything if is_file_field(as_object(properties[name])) else properties[name]
        for name in present
    }
    definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    partial: dict[str, Any] = definitions | {"type": "object", "properties": fields}
    coerced = coerce(present, partial)
    problems = Schema(partial).problems(coerced, under="values")
    if problems:
        first = problems[0]
        raise Rejected(
            f"{first.field} {first.message}",
            code="validation_failed",
            param=first.field,
            problems=problems,
        )
    return coerced
