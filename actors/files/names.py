"""Names and kinds of files, as they come from people, models and other programs. Pure."""

import mimetypes
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

from actors.runtime import Rejected

LONGEST_NAME = 255
LONGEST_MIME = 255
LONGEST_EXTENSION = 20
UNKNOWN_MIME = "application/octet-stream"
MIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*")
PERCENT_ENCODED = re.compile(r"(?:[A-Za-z0-9!#$&'()*+,;=:@._~ -]|%[0-9A-Fa-f]{2})+")


def safe_name(name: str) -> str:
    """A file's name as one segment of a path, whatever was given.

    What lies before a slash is dropped, what cannot be seen or has a meaning to shells and file
    systems is replaced, and no name begins with a dot. At most 255 bytes.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rstrip("/").rpartition("/")[2]
    visible = "".join(c if c.isprintable() and c not in ':*?"<>|' else "_" for c in last)
    return _shortened(visible.strip().lstrip(".").strip() or "file")


def unique_names(names: Iterable[str]) -> list[str]:
    """The same names, told apart by -2, -3 … before the extension, also where case is ignored."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        chosen, number = name, 1
        while chosen.casefold() in taken:
            number += 1
            chosen = _numbered(name, number)
        taken.add(chosen.casefold())
        found.append(chosen)
    return found


def decode_name(encoded: str, field: str) -> str:
    """A name as a header carries it: percent-encoded UTF-8."""
    if not PERCENT_ENCODED.fullmatch(encoded):
        raise Rejected(f"{field} must be a file name, percent-encoded as UTF-8", param=field)
    try:
        return safe_name(unquote(encoded, errors="strict"))
    except UnicodeDecodeError:
        raise Rejected(f"{field} is no percent-encoded UTF-8", param=field) from None


def read_mime(text: str) -> str | None:
    """A media type without its parameters, in lower case; None when it is none."""
    plain = text.partition(";")[0].strip().lower()
    return plain if len(plain) <= LONGEST_MIME and MIME.fullmatch(plain) else None


def extension_of(mime: str) -> str:
    """The extension usual for a media type, with its dot; empty when there is none."""
    return mimetypes.guess_extension(mime) or ""


def is_accepted(accept: Iterable[str], name: str, mime: str) -> bool:
    """Whether a list such as `.pdf, image/*, text/plain` lets a file in; an empty one does."""
    wanted = [each.strip().lower() for each in accept if each.strip()]
    kind = mime.partition("/")[0]
    return not wanted or any(
        name.lower().endswith(each) if each.startswith(".") else each in (mime, f"{kind}/*", "*/*")
        for each in wanted
    )


def human_size(size: int) -> str:
    """A number of bytes as people write it."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"


def _numbered(name: str, number: int) -> str:
    extension = _extension(name)
    ending = f"-{number}{extension}"
    return _shortened(name.removesuffix(extension) + ending, ending)


def _extension(name: str) -> str:
    """The extension of a name with its dot, if it has one that is worth keeping."""
    stem, dot, extension = name.rpartition(".")
    return dot + extension if stem and len(extension.encode()) <= LONGEST_EXTENSION else ""


def _shortened(name: str, ending: str = "") -> str:
    """A name of at most 255 bytes, that keeps its ending."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    ending = ending or _extension(name)
    room = LONGEST_NAME - len(ending.encode())
    return name[: len(name) - len(ending)].encode()[:room].decode(errors="ignore") + ending
