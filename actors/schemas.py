"""JSON Schema 2020-12: problems in the contract's words, and the coercion clients rely on."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from actors.documents import as_list, as_object
from actors.runtime import FieldProblem

CODES = {
    "required": "required",
    "type": "invalid_type",
    "format": "invalid_format",
    "additionalProperties": "unknown_field",
    "unevaluatedProperties": "unknown_field",
    "anyOf": "invalid_union",
    "oneOf": "invalid_union",
    "propertyNames": "invalid_key",
    "contains": "invalid_element",
    "uniqueItems": "invalid_element",
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), "out_of_range"),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), "out_of_range"),
    **dict.fromkeys(("minProperties", "maxProperties", "multipleOf"), "out_of_range"),
}


class Schema:
    """A compiled schema. Raises `ValueError` with one sentence when `schema` is not one."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                dict(schema), validate_formats=True, retriever=_refuse
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise ValueError(str(error).split("\n", 1)[0]) from None

    def problems(self, instance: Any, under: str = "") -> list[FieldProblem]:
        """Everything wrong with `instance`; fields are named by their path `under` a name."""
        return [
            FieldProblem(
                field=_path(under, error),
                code=CODES.get(error.kind.name, "invalid_value"),
                message=_sentence(error),
            )
            for error in self._validator.iter_errors(instance)
        ]


def _refuse(uri: str) -> Any:
    """References lead within a schema: its author may not make this server read or fetch."""
    raise ValueError(f"{uri} lies outside of the schema")


def _path(under: str, error: jsonschema_rs.ValidationError) -> str:
    path = under
    for part in error.instance_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    missing = getattr(error.kind, "property", None)
    if error.kind.name == "required" and missing:
        return f"{path}.{missing}" if path else str(missing)
    if error.kind.name in ("additionalProperties", "unevaluatedProperties"):
        unexpected = str(as_list(getattr(error.kind, "unexpected", None))[0])
        return f"{path}.{unexpected}" if path else unexpected
    return path


def _sentence(error: jsonschema_rs.ValidationError) -> str:
    if error.kind.name == "required":
        return "is required"
    if CODES.get(error.kind.name) == "unknown_field":
        return "is not known here: leave it out"
    return error.message if len(error.message) <= 300 else error.message[:300] + "…"


def coerce(values: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Forgive what forms and query strings do to values, at every depth.

    A value that is of none of the types its schema names becomes one of them where its text says
    so: numbers and truth values out of text, text out of numbers, null out of nothing. Empty
    values of required fields of the top level are taken as absent.
    """
    required = as_list(schema.get("required"))
    given = {
        name: value
        for name, value in values.items()
        if not (name in required and (value is None or value == ""))
    }
    return as_object(_coerced(given, dict(schema)))


def is_file_field(schema: Mapping[str, Any]) -> bool:
    """Whether a field takes files: a URI with a media type, or a list of such."""
    each = as_object(schema.get("items")) or schema
    return each.get("format") == "uri" and "contentMediaType" in each


def _coerced(value: Any, schema: dict[str, Any]) -> Any:
    wanted = schema.get("type")
    kinds = as_list(wanted) if isinstance(wanted, list) else [wanted]
    if isinstance(value, dict):
        properties = as_object(schema.get("properties"))
        return {
            name: _coerced(field, as_object(properties.get(name)))
            for name, field in as_object(value).items()
        }
    if isinstance(value, list):
        items = as_object(schema.get("items"))
        return [_coerced(item, items) for item in as_list(value)]
    if any(_is(value, kind) for kind in kinds):
        return value
    changed = [_changed(value, kind) for kind in kinds]
    return next((new for new in changed if new is not value), value)


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return bool(kind == "boolean")
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        case "number":
            return isinstance(value, int | float)
        case "null":
            return value is None
        case _:
            return False


def _changed(value: Any, kind: Any) -> Any:
    """The value as `kind`, or the very same value when it cannot be that."""
    match kind, value:
        case "integer" | "number", str():
            return _number(value, kind)
        case "boolean", "true" | "false":
            return value == "true"
        case "null", "":
            return None
        case "string", int() | float() if not isinstance(value, bool):
            return str(value)
        case _:
            return value


def _number(text: str, kind: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text) if kind == "number" else text
    except ValueError:
        return text
