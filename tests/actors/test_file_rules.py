"""Names, data URIs, and which files an input asks for."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.files.inputs import LARGEST_DATA, DataFile, read_data_uri, rewritten, wanted_files
from actors.files.names import decode_name, human_size, is_accepted, safe_name, unique_names
from actors.files.tokens import FileTokens
from actors.runtime import Rejected
from support.files import FILE_INPUT

PARAMETERS = FILE_INPUT["input"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a\\b.txt", "b.txt"),
        ("a/..", "file"),
        ("..", "file"),
        ("", "file"),
        ("/", "file"),
        (" .hidden", "hidden"),
        ("...", "file"),
        ("a\0b\nc.txt", "a_b_c.txt"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("a\ud800b", "a_b"),
        ('a:b*c?"<>|', "a_b_c_____"),
        ("Ünï — ok.csv", "Ünï — ok.csv"),
    ],
)
def test_a_name_becomes_one_safe_segment(given: str, expected: str) -> None:
    assert safe_name(given) == expected


@pytest.mark.parametrize("given", ["x" * 300 + ".csv", "ü" * 300 + ".csv", "." + "x" * 300])
def test_a_long_name_is_cut_and_keeps_its_extension(given: str) -> None:
    cut = safe_name(given)

    assert len(cut.encode()) <= 255
    assert cut.endswith(".csv") or not given.endswith(".csv")


def test_names_are_told_apart_before_the_extension() -> None:
    names = ["a.csv", "A.csv", "a.csv", "a-2.csv", "b", "b", "x" * 251 + ".csv", "x" * 251 + ".csv"]
    found = unique_names(names)

    assert found[:6] == ["a.csv", "A-2.csv", "a-3.csv", "a-2-2.csv", "b", "b-2"]
    assert found[7] == "x" * 249 + "-2.csv"


def test_names_that_are_told_apart_stay_short_enough_for_a_file() -> None:
    found = unique_names([safe_name("a." + "b" * 300)] * 3)

    assert len(set(found)) == 3
    assert all(len(name.encode()) <= 255 for name in found)


@pytest.mark.parametrize("encoded", ["", "a/b", "a%2", "ü", "a\\b", "%ff"])
def test_a_header_that_is_no_encoded_name_is_refused(encoded: str) -> None:
    with pytest.raises(Rejected):
        decode_name(encoded, "X-Document-Name")


def test_an_encoded_name_is_made_safe_too() -> None:
    assert decode_name("..%2F..%2Fb%C3%BC.txt", "X-Document-Name") == "bü.txt"


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        ([".csv"], True),
        ([".CSV"], True),
        ([".pdf", "text/csv"], True),
        (["text/*"], True),
        (["image/*", ".pdf"], False),
        ([], True),
        ([""], True),
    ],
)
def test_what_is_accepted(accept: list[str], *, accepted: bool) -> None:
    assert is_accepted(accept, "a.csv", "text/csv") is accepted


def test_sizes_are_told_as_people_do() -> None:
    assert [human_size(n) for n in (8, 1500, 2_000_000)] == ["8 B", "1.5 kB", "2 MB"]


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data:text/csv;name=a%20b.csv;base64,YSxi", ("a b.csv", "text/csv", b"a,b")),
        ("data:;base64,YQ==", (None, "text/plain", b"a")),
        ("data:text/plain;base64,YQ", (None, "text/plain", b"a")),
        ("data:text/plain;charset=utf-8;base64,-_8", (None, "text/plain", b"\xfb\xff")),
        ("data:text/plain;base64,", (None, "text/plain", b"")),
        ("data:text/plain;name=..%2Fx;base64,YQ==", ("x", "text/plain", b"a")),
    ],
)
def test_a_data_uri_is_a_file(uri: str, expected: tuple[str | None, str, bytes]) -> None:
    found = read_data_uri(uri)

    assert isinstance(found, DataFile)
    assert (found.name, found.mime, found.content) == expected


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("data:text/plain,hello", "base64"),
        ("data:text/plain;base64", "base64"),
        ("data:text/plain;base64,a*b", "no base64"),
        ("data:nothing;base64,YQ==", "no media type"),
        (f"data:;base64,{encoded(bytes(LARGEST_DATA + 1))}", "upload larger files"),
        (f"data:;base64,{'A' * (LARGEST_DATA * 2)}", "upload larger files"),
    ],
)
def test_what_is_no_data_uri_is_told(uri: str, why: str) -> None:
    found = read_data_uri(uri)

    assert isinstance(found, str)
    assert why in found


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"report": 7}, "input.report"),
        ({"report": "/etc/passwd"}, "input.report"),
        ({"report": "file:///etc/passwd"}, "input.report"),
        ({"report": ["upload://upl_1"]}, "input.report"),
        ({"extras": "upload://upl_1"}, "input.extras"),
        ({"extras": ["upload://upl_1", "http://x"]}, "input.extras[1]"),
        ({"extras": ["upload://upl_1"] * 4}, "input.extras"),
    ],
)
def test_what_is_no_file_is_named(values: dict[str, Any], field: str) -> None:
    with pytest.raises(Rejected) as caught:
        wanted_files(PARAMETERS, values)

    assert [problem.field for problem in caught.value.problems] == [field]


def test_files_are_put_back_where_they_were_asked_for() -> None:
    values = {"report": "upload://u", "extras": ["document://d", "data:;base64,"], "topic": "t"}
    wanted = wanted_files(PARAMETERS, values, ["document://e"])

    assert rewritten(values, wanted, ["1", "2", "3", "4"]) == {
        "report": "1",
        "extras": ["2", "3"],
        "topic": "t",
    }
    assert wanted_files(PARAMETERS, {"report": "", "extras": None, "topic": "upload://x"}) == []


def test_a_token_of_one_door_opens_no_other_and_keys_rotate() -> None:
    now = datetime.now(UTC)
    later = now + timedelta(minutes=1)
    token = FileTokens(("old" * 8,)).new("upload", "upl_1", later)
    rotated = FileTokens(("new" * 8, "old" * 8))

    assert rotated.open("upload", token, now, "gone") == "upl_1"
    for door, moment, code in (("preview", now, "unauthorized"), ("upload", later, "gone")):
        with pytest.raises(Rejected) as caught:
            rotated.open(door, token, moment, "gone")
        assert caught.value.code == code
