import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.packages.archive import BUNDLE, Limits, write_archive
from actors.packages.bundle import Bundle, canonical_json, write_bundle, write_record
from actors.packages.bundle_reader import BundleInvalid, read_bundle
from actors.packages.content import integrity_of

AGENT = "@acme/agent@1.0.0"
SKILL = "@acme/skill@2.1.0"
PACKAGES = {
    AGENT: {"manifest.json": b'{"name":"@acme/agent"}', "prompt.md": b"Do it."},
    SKILL: {"SKILL.md": b"---\nname: skill\n---\n", "scripts/a.sh": b"echo"},
}


def files_of_bundle() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    index = Bundle(root=AGENT, packages=PACKAGES).index()
    for identity, content in PACKAGES.items():
        folder = index[identity]["path"]
        files |= {folder + path: body for path, body in content.items()}
        files[folder + "RECORD"] = write_record(content)
    document = {
        "bundleFormatVersion": "1.0",
        "root": AGENT,
        "packages": index,
        "integrity": integrity_of(canonical_json(index)),
    }
    files["bundle.json"] = json.dumps(document).encode()
    return files


def refused(files: dict[str, bytes], limits: Limits = BUNDLE, packages: int = 512) -> str:
    with pytest.raises(BundleInvalid) as caught:
        read_bundle(write_archive(files), limits, packages)
    return caught.value.problems[0].code


def changed(
    files: dict[str, bytes], change: Callable[[dict[str, Any]], object]
) -> dict[str, bytes]:
    document = json.loads(files["bundle.json"])
    change(document)
    return files | {"bundle.json": json.dumps(document).encode()}


def test_what_is_written_is_read_and_writing_is_deterministic() -> None:
    written = write_bundle(AGENT, PACKAGES)
    bundle = read_bundle(written, BUNDLE)

    assert bundle.root == AGENT
    assert bundle.packages == PACKAGES
    assert write_bundle(AGENT, dict(reversed(PACKAGES.items()))) == written


def test_a_record_is_sorted_and_unpadded_and_empty_for_no_file() -> None:
    record = write_record({"b": b"", "a": b"x"})

    assert record.decode() == (
        "a,sha256=LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE,1\n"
        "b,sha256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
    )
    assert write_record({}) == b""


def test_packages_may_lie_in_other_folders_and_the_digest_covers_where() -> None:
    files = files_of_bundle()
    moved = {p.replace("packages/@acme/skill/2.1.0/", "s/"): c for p, c in files.items()}
    index = Bundle(root=AGENT, packages=PACKAGES, folders={SKILL: "s/"}).index()
    good = changed(
        moved,
        lambda d: d.update(packages=index, integrity=integrity_of(canonical_json(index))),
    )

    assert read_bundle(write_archive(good), BUNDLE).packages == PACKAGES
    assert refused(changed(moved, lambda d: d.update(packages=index))) == "INTEGRITY_MISMATCH"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: d.update(bundleFormatVersion="2.0"), "VERSION_UNSUPPORTED"),
        (lambda d: d.pop("root"), "BUNDLE_JSON_INVALID"),
        (lambda d: d.update(root="@acme/other@1.0.0"), "BUNDLE_JSON_INVALID"),
        (lambda d: d.update(integrity="sha256-x"), "INTEGRITY_MISMATCH"),
        (lambda d: d["packages"][SKILL].update(integrity="sha256-x"), "INTEGRITY_MISMATCH"),
        (lambda d: d["packages"][SKILL].update(path="/abs/"), "BUNDLE_JSON_INVALID"),
        (lambda d: d["packages"][SKILL].update(path="../up/"), "BUNDLE_JSON_INVALID"),
        (lambda d: d["packages"][SKILL].update(path="no-slash"), "BUNDLE_JSON_INVALID"),
        (lambda d: d["packages"].pop(SKILL), "RECORD_MISMATCH"),
    ],
)
def test_an_index_that_lies_is_refused(
    change: Callable[[dict[str, Any]], object], code: str
) -> None:
    assert refused(changed(files_of_bundle(), change)) == code


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        ("packages/@acme/skill/2.1.0/SKILL.md", b"other", "RECORD_MISMATCH"),
        ("packages/@acme/skill/2.1.0/extra.txt", b"more", "RECORD_MISMATCH"),
        ("packages/@acme/skill/2.1.0/RECORD", b"nonsense", "RECORD_MALFORMED"),
        ("packages/@acme/skill/2.1.0/RECORD", None, "RECORD_MISSING"),
        ("packages/@acme/skill/2.1.0/SKILL.md", None, "RECORD_MISMATCH"),
        ("stray.txt", b"?", "RECORD_MISMATCH"),
        ("bundle.json", b"{", "BUNDLE_JSON_INVALID"),
        ("bundle.json", None, "BUNDLE_JSON_MISSING"),
    ],
)
def test_a_file_that_is_not_what_is_recorded_is_refused(
    path: str, content: bytes | None, code: str
) -> None:
    files = files_of_bundle()
    if content is None:
        del files[path]
    else:
        files[path] = content

    assert refused(files) == code


def test_too_many_packages_are_refused() -> None:
    assert refused(files_of_bundle(), packages=1) == "LIMITS_EXCEEDED"


def test_the_archive_of_a_bundle_is_read_strictly() -> None:
    with pytest.raises(BundleInvalid, match="traversal"):
        read_bundle(write_archive(files_of_bundle() | {"../up": b"x"}), BUNDLE)
