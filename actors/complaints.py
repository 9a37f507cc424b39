"""What is wrong with a body, said in the words of whoever sent it."""

import re
from typing import Any

import msgspec
from msgspec import inspect

from actors.runtime import FieldProblem, Rejected

PATH = re.compile(r"^(?P<said>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>[^`]+)`$")
ENUM = re.compile(r"^Invalid enum value (?P<value>.*)$", re.DOTALL)
BOUND = re.compile(
    r"^Expected `(?P<kind>\w+)` (?P<length>of length )?(?P<sign>[<>]=) (?P<bound>.+)$"
)
PATTERN = re.compile(r"^Expected `str` matching regex (?P<pattern>.*)$", re.DOTALL)
KIND = re.compile(r"^Expected `(?P<kinds>[^`]+)`, got `(?P<got>[^`]+)`$")
WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
SIGNS = {"<=": "at most", ">=": "at least"}
SOME_VALUE = "[...]"
"""How msgspec writes the key of an object whose keys are free: it does not say which."""


def complain(message: str, kind: type[Any]) -> Rejected:
    """Msgspec's sentence about a document that is no `kind`, as a refusal naming the field."""
    found = PATH.match(message)
    assert found is not None
    path, (code, name, told) = found["path"] or "", _told(found["said"])
    if code == "invalid_value" and (values := _values_at(kind, path)):
        told = f"must be one of {', '.join(values)}, {told}"
    if code == "unknown_field" and (names := _names_at(kind, path)):
        told += f", or use one of {', '.join(names)}"
    if SOME_VALUE in path:
        path, told = path.partition(SOME_VALUE)[0], f"has a value that {told}"
    field = ".".join(part for part in (path, name) if part)
    problem = FieldProblem(field=field, code=code, message=told)
    return Rejected(
        f"{field or 'the body'} {told}",
        code="validation_failed",
        param=field or None,
        problems=[problem],
    )


def _told(said: str) -> tuple[str, str, str]:
    """The code of a complaint, the field it adds to the path, and its words."""
    if found := MISSING.match(said):
        return "required", found["name"], "is required"
    if found := UNKNOWN.match(said):
        return "unknown_field", found["name"], "is not known here: leave it out"
    if found := ENUM.match(said):
        return "invalid_value", "", f"not {found['value']}"
    if found := BOUND.match(said):
        verb, bound = "have" if found["length"] else "be", found["bound"].removesuffix(".0")
        thing = " character" if found["kind"] == "str" else " item"
        things = thing + ("" if bound == "1" else "s") if found["length"] else ""
        return "out_of_range", "", f"must {verb} {SIGNS[found['sign']]} {bound}{things}"
    if found := PATTERN.match(said):
        return "invalid_format", "", f"must match {found['pattern'].strip(chr(39))}"
    if found := KIND.match(said):
        kinds = _either(found["kinds"].split(" | "))
        return "invalid_type", "", f"must be {kinds}, not {WORDS.get(found['got'], found['got'])}"
    if said.startswith("Invalid value "):
        return (
            "invalid_value",
            "",
            f"has a value unknown here: {said.removeprefix('Invalid value ')}",
        )
    if "RFC3339" in said or "timezone" in said:
        return "invalid_format", "", "must be a moment with its time zone, as 2026-03-21T09:30:00Z"
    code = "invalid_format" if "Invalid" in said else "invalid_type"
    return code, "", f"is not usable: {said}"


def _either(kinds: list[str]) -> str:
    """Kinds in words; whoever takes numbers takes integers."""
    told = [WORDS.get(kind, kind) for kind in kinds if kind != "int" or "float" not in kinds]
    return " or ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told)


def _values_at(kind: type[Any], path: str) -> list[str]:
    """The values that a field takes, as JSON has them; none where they cannot be listed."""
    return [
        msgspec.json.encode(value).decode().strip('"')
        for one in _types_at(kind, path)
        for value in _listed(one)
    ]


def _names_at(kind: type[Any], path: str) -> list[str]:
    """The names of the fields that an object has."""
    structs = [one for one in _types_at(kind, path) if isinstance(one, inspect.StructType)]
    return [field.encode_name for one in structs for field in one.fields]


def _types_at(kind: type[Any], path: str) -> list[inspect.Type]:
    types = [inspect.type_info(kind)]
    for step in re.findall(r"\[[^\]]*\]|[^.\[\]]+", path):
        types = [inner for one in types for inner in _inside(one, step)]
    return types


def _inside(kind: inspect.Type, step: str) -> list[inspect.Type]:
    match kind:
        case inspect.StructType(fields=fields):
            return [
                inner
                for field in fields
                if field.encode_name == step
                for inner in _alternatives(field.type)
            ]
        case inspect.ListType(item_type=item) if step.startswith("["):
            return _alternatives(item)
        case inspect.DictType(value_type=value) if step.startswith("["):
            return _alternatives(value)
        case _:
            return []


def _alternatives(kind: inspect.Type) -> list[inspect.Type]:
    return list(kind.types) if isinstance(kind, inspect.UnionType) else [kind]


def _listed(kind: inspect.Type) -> list[Any]:
    match kind:
        case inspect.LiteralType(values=values):
            return list(values)
        case inspect.EnumType(cls=cls):
            return [one.value for one in cls]
        case _:
            return []
