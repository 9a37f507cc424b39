"""Documents as their readers meet them: lists, ranges, previews, and whose they are."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace
from yarl import URL

from actors.storage import DeleteBlob, PutBlob, chunks
from appstrate.boot import Server
from support.api import PASSWORD, Api, new_user
from support.fake_model import FakeModel, Say
from support.files import FILE_INPUT, announce, digest, upload

CONTENT = b"0123456789"
HTML = b"<script>alert(1)</script>"


@dataclass
class Reader:
    """An owner whose run was given some documents."""

    api: Api
    agent: str
    run: str
    documents: list[str]

    @property
    def content(self) -> str:
        return f"/api/documents/{self.documents[0]}/content"


@pytest.fixture
async def reader(owner: Api, fake: FakeModel) -> Reader:
    await owner.new_model(fake, fake.script(f"reads-{owner.org['slug']}", Say("Done.")))
    agent = await owner.new_agent("reads", **FILE_INPUT)
    page = await upload(owner, HTML, "page.html", mime="text/html")
    given = {"report": await upload(owner, CONTENT), "extras": [page]}
    run = await owner.finished(agent, {"input": given})
    found = [run["input"]["report"], *run["input"]["extras"]]
    return Reader(owner, agent, run["id"], [uri.removeprefix("document://") for uri in found])


async def test_a_document_says_what_it_is(reader: Reader) -> None:
    found = (await reader.api.get(f"/api/documents/{reader.documents[0]}")).json
    preview = found.pop("preview_url")

    assert found.pop("createdAt")
    assert found == {
        "object": "document",
        "id": reader.documents[0],
        "uri": f"document://{reader.documents[0]}",
        "purpose": "user_upload",
        "applicationId": reader.api.application["id"],
        "run_id": reader.run,
        "chat_session_id": None,
        "packageId": reader.agent,
        "name": "data.csv",
        "mime": "text/csv",
        "size": 10,
        "sha256": digest(CONTENT),
        "presentation": None,
        "downloadable": True,
        "capabilities": dict.fromkeys(
            ("visible", "metadata", "download", "preview", "keep", "delete"), True
        ),
        "previewable": True,
        "preview_kind": "text",
        "expiresAt": None,
    }
    assert preview.startswith(f"{reader.api.url}/preview/documents/{reader.documents[0]}?t=")


@pytest.mark.parametrize(
    ("asked", "status", "body", "told"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, CONTENT, "bytes 0-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=5-2", 200, CONTENT, None),
        ("bytes=0-1,3-4", 200, CONTENT, None),
        ("lines=1-2", 200, CONTENT, None),
        ("bytes=-", 200, CONTENT, None),
        ("Bytes=0-1", 206, b"01", "bytes 0-1/10"),
    ],
)
async def test_a_range_is_answered(
    reader: Reader, asked: str, status: int, body: bytes, told: str | None
) -> None:
    answer = await reader.api.get(reader.content, headers={"Range": asked})

    assert (answer.status, answer.body) == (status, body)
    assert answer.headers.get("Content-Range") == told
    assert answer.headers["Accept-Ranges"] == "bytes"


async def test_a_range_behind_the_end_and_of_another_version(reader: Reader) -> None:
    behind = await reader.api.get(reader.content, headers={"Range": "bytes=10-"})
    other = await reader.api.get(
        reader.content, headers={"Range": "bytes=0-1", "If-Range": '"other"'}
    )
    tag = other.headers["Etag"]
    known = await reader.api.get(reader.content, headers={"If-None-Match": tag})

    assert (behind.status, behind.code) == (416, "range_not_satisfiable")
    assert behind.headers["Content-Range"] == "bytes */10"
    assert (other.status, other.body) == (200, CONTENT)
    assert tag == f'"{digest(CONTENT)}"'
    assert (known.status, known.body) == (304, b"")


async def test_a_head_has_no_ranges(reader: Reader) -> None:
    head = await reader.api.request("HEAD", reader.content, headers={"Range": "bytes=99-"})

    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == "10"


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=4-"}])
async def test_content_the_storage_has_lost_is_told_and_never_cut_short(
    reader: Reader, server: Server, headers: dict[str, str]
) -> None:
    key = f"documents/{reader.api.application['id']}/{reader.documents[0]}"
    await server.at.storage.ask(PutBlob(key=key, body=chunks(CONTENT[:6])))
    cut = await reader.api.get(reader.content, headers=headers)
    await server.at.storage.ask(DeleteBlob(key=key))
    lost = await reader.api.get(reader.content, headers=headers)

    assert (cut.status, cut.code) == (lost.status, lost.code) == (409, "document_unavailable")
    assert "6 bytes left of 10" in cut.json["detail"]
    assert "documents/" not in lost.json["detail"]


async def test_lists_are_paged_both_ways(reader: Reader) -> None:
    api = reader.api
    newest, oldest = reader.documents[::-1]
    first = (await api.get(f"/api/documents?limit=1&run_id={reader.run}")).json
    second = (await api.get(f"/api/documents?limit=1&startingAfter={newest}")).json
    back = (await api.get(f"/api/documents?limit=1&endingBefore={oldest}")).json
    both = await api.get(f"/api/documents?startingAfter={newest}&endingBefore={oldest}")

    assert ([e["id"] for e in first["data"]], first["hasMore"]) == ([newest], True)
    assert ([e["id"] for e in second["data"]], second["hasMore"]) == ([oldest], False)
    assert [e["id"] for e in back["data"]] == [newest]
    assert both.status == 400
    for nothing in ("purpose=agent_output", "run_id=run_1", "packageId=@a/b", "chat_session_id=c"):
        assert (await api.get(f"/api/documents?{nothing}")).json["data"] == []


async def test_a_preview_can_do_nothing(reader: Reader) -> None:
    page = (await reader.api.get(f"/api/documents/{reader.documents[1]}")).json
    url = URL(page["preview_url"], encoded=True)
    alone = await Api("").get(url)
    framed = await Api("").get(url, headers={"Sec-Fetch-Dest": "iframe"})
    other = url.with_path(f"/preview/documents/{reader.documents[0]}", keep_query=True)

    assert page["preview_kind"] == "html"
    assert (alone.status, alone.body) == (200, HTML)
    assert alone.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "sandbox allow-scripts;" in framed.headers["Content-Security-Policy"]
    assert "allow-same-origin" not in framed.headers["Content-Security-Policy"]
    assert alone.headers["X-Content-Type-Options"] == "nosniff"
    assert (await Api(reader.api.url).get(other)).status == 404
    assert (await Api("").get(url.with_query(t="forged.1.x"))).status == 401
    behind = await Api(reader.api.url).get(url.path_qs, headers={"Range": f"bytes={len(HTML)}-"})
    assert (behind.status, behind.code) == (416, "range_not_satisfiable")


async def test_an_upload_is_its_owners_alone(reader: Reader, server: Server) -> None:
    colleague = await _colleague(reader.api, server)
    document = reader.documents[0]
    shown = (await colleague.get(f"/api/documents/{document}")).json
    uploaded = await upload(reader.api, b"secret")
    stolen = await colleague.launch(reader.agent, {"input": {"report": uploaded}})
    reused = await colleague.launch(reader.agent, {"input": {"report": f"document://{document}"}})

    assert shown["downloadable"] is False
    assert shown["capabilities"]["download"] is False
    assert "preview_url" not in shown
    assert (await colleague.get(reader.content)).code == "forbidden"
    assert (await colleague.post(f"/api/documents/{document}/keep")).code == "forbidden"
    assert (await colleague.delete(f"/api/documents/{document}")).code == "forbidden"
    assert (stolen.status, stolen.fields) == (400, {"input.report": "invalid_input"})
    assert (reused.status, reused.fields) == (400, {"input.report": "invalid_input"})


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ("upload://upl_nothing", "no such upload"),
        ("document://doc_nothing", "no such document"),
        ("data:image/png;name=a.png;base64,YQ==", "is not accepted"),
        ("data:text/csv;name=a.csv;base64," + "QUFB" * 400, "above the limit of 1000"),
    ],
)
async def test_a_file_that_cannot_be_had_refuses_the_launch(
    reader: Reader, report: str, why: str
) -> None:
    refused = await reader.api.launch(reader.agent, {"input": {"report": report}})

    assert (refused.status, refused.code) == (400, "validation_failed")
    assert refused.fields == {"input.report": "invalid_input"}
    assert why in refused.json["detail"]


async def test_an_upload_that_was_not_sent_refuses_the_launch(reader: Reader) -> None:
    uri = (await announce(reader.api, b"abc")).json["uri"]
    refused = await reader.api.launch(reader.agent, {"input": {"report": uri}})

    assert refused.status == 400
    assert "not been sent" in refused.json["detail"]


async def test_an_upload_for_one_use_goes_into_one_run(
    reader: Reader, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: Any = server.at.run_files._actor
    monkeypatch.setattr(files, "_limits", replace(files._limits, reuse_hours=0))
    given = {"input": {"report": await upload(reader.api, CONTENT)}}
    at_once = await asyncio.gather(*(reader.api.launch(reader.agent, given) for _ in range(3)))
    later = await reader.api.launch(reader.agent, given)

    assert {each.status for each in at_once} <= {201, 400, 409}
    assert sum(each.status == 201 for each in at_once) == 1
    assert (later.status, later.fields) == (400, {"input.report": "invalid_input"})
    assert "given to another run" in later.json["detail"]


async def test_an_input_is_used_again_by_a_rerun_and_by_another_launch(reader: Reader) -> None:
    again = await reader.api.finished(reader.agent, {"rerun_from": reader.run})
    uri = await upload(reader.api, b"twice")
    runs = [await reader.api.finished(reader.agent, {"input": {"report": uri}}) for _ in range(2)]

    assert again["status"] == "success"
    assert again["input"]["report"] == f"document://{reader.documents[0]}"
    assert again["document_counts"]["input"] == 2
    assert runs[0]["input"]["report"] != runs[1]["input"]["report"]
    in_use = await reader.api.delete(f"/api/documents/{reader.documents[0]}")
    assert in_use.code == "document_in_use"


async def _colleague(owner: Api, server: Server) -> Api:
    colleague = await new_user(server.url)
    invited = await owner.post(
        f"/api/orgs/{owner.org['id']}/members", {"email": colleague.email, "role": "member"}
    )
    assert (await colleague.post(f"/invite/{invited.json['token']}/accept")).status == 200
    assert PASSWORD
    colleague.headers |= {k: v for k, v in owner.headers.items() if k.startswith("X-")}
    return colleague
