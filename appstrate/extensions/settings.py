"""The settings of extensions: variables with the extension's prefix, decoded into its struct."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

PREFIX = "EXTENSION_"


class ExtensionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says about extensions: what each was told, and which are not wanted."""

    variables: dict[str, str] = {}
    disabled: frozenset[str] = frozenset()


class NotSetError(Exception):
    """Nothing was set of what an extension cannot do without; the message names it."""


class UnusableError(Exception):
    """The variables of an extension cannot be used; the message says each that is wrong."""


def prefix_of(name: str) -> str:
    """What the variables of an extension begin with."""
    return PREFIX + name.upper().replace("-", "_").replace(".", "_") + "_"


def own_variables(name: str, names: Iterable[str], variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of an extension, without its prefix; a longer prefix that fits is stronger."""
    prefix = prefix_of(name)
    longer = tuple(
        other for each in names if (other := prefix_of(each)) != prefix and other.startswith(prefix)
    )
    return {
        key.removeprefix(prefix): value
        for key, value in variables.items()
        if key.startswith(prefix) and not (longer and key.startswith(longer))
    }


def decode(name: str, kind: type[msgspec.Struct], given: Mapping[str, str]) -> msgspec.Struct:
    """The settings of an extension. Raises `NotSetError` or `UnusableError`."""
    known = {field.name.upper(): field for field in fields(kind)}
    required = [key for key, field in known.items() if field.required]
    if required and not given:
        names = " and ".join(prefix_of(name) + key for key in required)
        raise NotSetError(f"{names} {'is' if len(required) == 1 else 'are'} not set")
    missing = (key for key in required if key not in given)
    problems = [f"{prefix_of(name)}{key}: is not set" for key in missing]
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in known:
            problems.append(f"{prefix_of(name)}{key}: there is no such setting")
            continue
        try:
            values[known[key].name] = _value(known[key], text)
        except msgspec.DecodeError as error:
            problems.append(f"{prefix_of(name)}{key}: {error}")
    if problems:
        raise UnusableError("; ".join(problems))
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise UnusableError(f"{prefix_of(name)}*: {error}") from None


def _value(field: FieldInfo, text: str) -> Any:
    """A variable as what its field is: a word, a number, true or false, or else JSON."""
    try:
        return msgspec.convert(text, field.type, strict=False)
    except msgspec.ValidationError:
        if not text.startswith(("[", "{")):
            raise
        return msgspec.json.decode(text, type=field.type)
