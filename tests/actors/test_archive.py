import io
import json
import struct
import tracemalloc
import zipfile

import pytest

from actors.packages.archive import (
    BUNDLE,
    MIB,
    SINGLE_PACKAGE,
    ArchiveInvalid,
    Limits,
    open_archive,
    write_archive,
)
from support.packages import agent_archive, archive

SMALL = Limits(compressed=MIB, decompressed=2 * MIB, file=MIB, entries=10)


def refused(content: bytes, limits: Limits = SINGLE_PACKAGE, *, strict: bool = False) -> str:
    with pytest.raises(ArchiveInvalid) as caught:
        open_archive(content, limits, strict=strict)
    return f"{caught.value.code}: {caught.value.detail}"


def test_files_are_read_and_sorted() -> None:
    opened = open_archive(archive({"b.txt": "B", "a/c.txt": "C"}), SINGLE_PACKAGE)

    assert opened.paths == ["a/c.txt", "b.txt"]
    assert opened.text("a/c.txt") == "C"


def test_one_wrapping_folder_is_stripped_and_two_are_not() -> None:
    wrapped = open_archive(archive({"top/": b"", "top/a": "A", "top/b/c": "C"}), SINGLE_PACKAGE)
    two = open_archive(archive({"one/a": "A", "two/b": "B"}), SINGLE_PACKAGE)

    assert wrapped.paths == ["a", "b/c"]
    assert two.paths == ["one/a", "two/b"]


def test_the_lenient_reader_drops_what_it_cannot_use() -> None:
    content = archive({"a\\b": "x", "a\0b": "x", "__MACOSX/x": "x", "good": "g"})

    assert open_archive(content, SINGLE_PACKAGE).paths == ["good"]
    for path in ("/abs", "../up", "a/../b"):
        assert refused(archive({path: "x", "good": "g"})).startswith("zip_invalid")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/abs", "absolute"),
        ("a/../b", "traversal"),
        ("a\\b", "backslash"),
        ("a\0b", "null byte"),
        ("a//b", "empty segment"),
        ("a,b", "comma"),
        ("/".join("a" * 32), "depth limit"),
    ],
)
def test_the_strict_reader_refuses_and_says_why(path: str, words: str) -> None:
    assert words in refused(archive({path: "x", "ok": "x"}), BUNDLE, strict=True)


def test_a_bomb_is_stopped_while_inflating_and_memory_stays_flat() -> None:
    bomb = archive({"manifest.json": b"\0" * (200 * MIB)})
    assert len(bomb) < MIB
    tracemalloc.start()
    said = refused(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert said.startswith("zip_bomb")
    assert peak < 4 * MIB


def test_a_second_directory_that_nobody_counted_is_refused() -> None:
    content = archive({"a": "A"})
    end = content.rfind(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)

    assert "ZIP64" in refused(content[:end] + locator + content[end:])


def test_a_path_is_a_file_or_a_folder() -> None:
    assert "'a/b' is both" in refused(archive({"a/b": "file", "a/b/c/d": "in it", "x": "x"}))


def test_many_small_files_are_counted_together() -> None:
    content = archive({f"f{n}": b"\0" * MIB for n in range(3)})

    assert refused(content, SMALL).startswith("zip_bomb")


def test_a_declared_size_is_not_believed() -> None:
    content = bytearray(archive({"manifest.json": b"\0" * (3 * MIB)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 10)

    assert refused(bytes(content)).startswith("zip_invalid")


def test_too_many_entries_are_refused_before_they_cost_memory() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zip_file:
        for n in range(10_001):
            zip_file.writestr(f"{n}", b"")
    tracemalloc.start()
    said = refused(buffer.getvalue())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert said.startswith("zip_bomb")
    assert "10000 entries" in said
    assert peak < MIB


@pytest.mark.parametrize("cut", [10, 100, -1, -30])
def test_a_truncated_archive_is_refused(cut: int) -> None:
    assert refused(agent_archive()[:cut]).startswith("zip_invalid")


def test_a_flipped_byte_is_noticed() -> None:
    content = bytearray(archive({"manifest.json": json.dumps({"a": list(range(1000))})}))
    content[200] ^= 0xFF

    assert refused(bytes(content)).startswith("zip_invalid")


def test_what_is_no_zip_is_refused() -> None:
    assert refused(b"hello").startswith("zip_invalid")
    assert refused(b"").startswith("zip_invalid")
    assert refused(b"PK" + b"x" * 11 * MIB).startswith("file_too_large")


def test_an_encrypted_or_strangely_compressed_entry_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as zip_file:
        zip_file.writestr("a", "x" * 1000)
    encrypted = bytearray(archive({"a": "x" * 100}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(signature) + offset] |= 1

    assert "compression" in refused(buffer.getvalue())
    assert refused(bytes(encrypted)).startswith("zip_invalid")


def test_writing_is_deterministic_whatever_the_order() -> None:
    one = write_archive({"b": b"2", "a": b"1"})
    two = write_archive({"a": b"1", "b": b"2"})

    assert one == two
    with zipfile.ZipFile(io.BytesIO(one)) as zip_file:
        assert [e.date_time for e in zip_file.infolist()] == [(2020, 1, 1, 0, 0, 0)] * 2
