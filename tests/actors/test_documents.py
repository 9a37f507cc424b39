"""How much of a document is read at most."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from actors.documents import MOST_PARTS, decode_json, decode_scrubbed


@pytest.mark.parametrize("decode", [decode_json, decode_scrubbed])
@pytest.mark.parametrize("text", ["", r"\ud800"])
def test_a_document_of_brackets_is_refused_before_it_is_made(
    decode: Callable[[bytes], Any], text: str
) -> None:
    body = f'{{"text": "{text}", "k": [{"[]," * MOST_PARTS}{{}}]}}'.encode()

    with pytest.raises(msgspec.ValidationError, match="more than 500000 arrays and objects"):
        decode(body)


@pytest.mark.parametrize("quoted", ["[", '"[', '\\"[{', "\\\\["])
def test_brackets_in_a_text_are_none(quoted: str) -> None:
    document = {"text": quoted * (MOST_PARTS + 1), "k": [[]]}

    assert decode_json(json.dumps(document).encode()) == document
