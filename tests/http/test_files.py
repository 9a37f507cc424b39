"""Files into a run and out of it, as a client and an agent do it."""

import base64
import os

from appstrate.boot import Server
from support.api import Api
from support.fake_model import FakeModel, Hang, Say
from support.files import FILE_INPUT, digest, told_files, upload
from support.sinks import database_of


async def test_files_go_in_and_come_out(owner: Api, fake: FakeModel) -> None:
    look = (
        "cat documents/data.csv documents/note.txt documents/data-2.csv; mkdir -p outputs/deep; "
        "cp documents/data.csv outputs/copy.csv; printf deep > outputs/deep/leaf.txt; "
        "printf no > outputs/.hidden; ln -s /etc/passwd outputs/link; printf main > main.html"
    )
    publish = {"publish_document": {"path": "main.html", "presentation": "primary"}}
    name = fake.script(
        "files", Say("", {"bash": {"command": look}}), Say("", publish), Say("Done.")
    )
    await owner.new_model(fake, name)
    agent = await owner.new_agent(
        "files", "Use them.", runtime_tools=["publish_document"], **FILE_INPUT
    )
    sent = await upload(owner, b"a,b\n1,2\n")
    note = "data:text/plain;name=..%2Fnote.txt;base64," + base64.b64encode(b"hello").decode()
    again = "data:text/csv;name=data.csv;base64," + base64.b64encode(b"x,y\n").decode()
    launched = await owner.launch(agent, {"input": {"report": sent, "extras": [note, again]}})
    assert launched.status == 201, launched.body
    run = await owner.wait(launched.json["id"])
    logs = [line["message"] for line in await owner.logs(run["id"])]

    assert run["status"] == "success", run
    given = [run["input"]["report"], *run["input"]["extras"]]
    assert all(uri.startswith("document://doc_") for uri in given)
    assert run["document_counts"] == {"input": 3, "output": 3}
    assert run["artifacts"] == {"status": "complete", "published": 3, "failed": []}, logs
    seen = told_files(fake.requests_of(name)[0])
    assert "`./documents/data.csv` (text/csv, 8 B)" in seen
    assert "`./documents/note.txt` (text/plain, 5 B)" in seen
    assert "**report**" not in seen
    result = told_files(fake.requests_of(name)[-1])
    assert "a,b\\n1,2\\nhellox,y" in result
    assert "Published main.html → document://doc_" in result
    await _check_outputs(owner, run["id"], run["primary_document_id"])


async def _check_outputs(owner: Api, run: str, primary: str) -> None:
    listed = await owner.get(f"/api/documents?run_id={run}&purpose=agent_output")
    found = {each["name"]: each for each in listed.json["data"]}
    assert found.keys() == {"copy.csv", "leaf.txt", "main.html"}
    assert found["main.html"]["id"] == primary
    assert found["main.html"]["presentation"] == "primary"
    assert found["copy.csv"]["mime"] == "text/csv"
    assert found["copy.csv"]["sha256"] == digest(b"a,b\n1,2\n")
    content = await owner.get(f"/api/documents/{found['copy.csv']['id']}/content")
    assert content.body == b"a,b\n1,2\n"
    assert content.headers["Content-Disposition"] == "attachment; filename*=UTF-8''copy.csv"
    assert content.headers["X-Content-Type-Options"] == "nosniff"
    expected = base64.b64encode(bytes.fromhex(found["copy.csv"]["sha256"])).decode()
    assert content.headers["Repr-Digest"] == f"sha-256=:{expected}:"
    lines = await owner.logs(run)
    assert sum(line["event"] == "document" for line in lines) == 3


async def test_outputs_that_cannot_be_kept_are_told_and_fail_no_run(
    owner: Api, server: Server, fake: FakeModel
) -> None:
    write = "mkdir outputs; printf 12345 > outputs/a.txt; printf 123456789 > outputs/b.txt"
    await owner.new_model(
        fake, fake.script("too-much", Say("", {"bash": {"command": write}}), Say("Done."))
    )
    await database_of(server).execute(
        "UPDATE organizations SET documents_bytes_limit = 9 WHERE id = $1", owner.org["id"]
    )
    run = await owner.finished(await owner.new_agent("too-much"))

    assert run["status"] == "success"
    assert run["artifacts"]["status"] == "partial"
    assert run["artifacts"]["published"] == 1
    assert [each["code"] for each in run["artifacts"]["failed"]] == ["quota_exceeded"]
    assert run["document_counts"] == {"input": 0, "output": 1}


async def test_outputs_have_hostile_names_and_are_no_files(owner: Api, fake: FakeModel) -> None:
    write = r"""
        mkdir outputs; cd outputs; mkfifo pipe; ln -s /etc/passwd link; ln -s .. up
        printf a > $'\xff.txt'; printf b > $'new\nline'; printf c > ü.html; printf d > .hidden
        printf e > closed; chmod 0 closed; truncate -s 200M sparse
    """
    await owner.new_model(
        fake, fake.script("hostile", Say("", {"bash": {"command": write}}), Say("Done."))
    )
    run = await owner.finished(await owner.new_agent("hostile"))
    made = (await owner.get(f"/api/documents?run_id={run['id']}")).json["data"]
    failed = {each["name"]: each["code"] for each in run["artifacts"]["failed"]}
    names = {each["name"] for each in made}

    assert failed.pop("sparse") == "file_too_large"
    if os.geteuid() == 0 and not (await owner.walls())["user"]:
        assert names == {"_.txt", "new_line", "ü.html", "closed"}  # nothing is closed to root
        assert failed == {}
        return
    assert names == {"_.txt", "new_line", "ü.html"}
    assert failed == {"closed": "upload_failed"}
    told = [line["message"] for line in await owner.logs(run["id"]) if line["level"] == "warn"]
    assert "closed was not published: Permission denied" in told


async def test_outputs_lie_as_deep_as_they_may(owner: Api, fake: FakeModel) -> None:
    write = """
        deep=outputs/$(printf 'd/%.0s' {1..1200}); mkdir -p $deep
        echo a > outputs/top.txt; echo b > ${deep}leaf.txt
    """
    await owner.new_model(
        fake, fake.script("deep", Say("", {"bash": {"command": write}}), Say("Done."))
    )
    run = await owner.finished(await owner.new_agent("deep"))

    assert run["artifacts"] == {"status": "complete", "published": 2, "failed": []}


async def test_many_outputs_wait_for_their_turn(owner: Api, fake: FakeModel) -> None:
    write = "mkdir outputs; for n in $(seq 45); do echo $n > outputs/$n; done"
    await owner.new_model(
        fake, fake.script("many", Say("", {"bash": {"command": write}}), Say("Done."))
    )
    run = await owner.finished(await owner.new_agent("many"))

    assert run["artifacts"] == {"status": "complete", "published": 45, "failed": []}


async def test_what_lies_in_outputs_when_the_time_is_up_is_delivered(
    owner: Api, fake: FakeModel
) -> None:
    write = {"bash": {"command": "mkdir outputs; printf draft > outputs/draft.md"}}
    await owner.new_model(fake, fake.script("too-slow", Say("", write), Hang()))
    run = await owner.finished(await owner.new_agent("too-slow", timeout=2))

    assert run["status"] == "timeout"
    assert run["document_counts"]["output"] == 1


async def test_a_context_document_of_an_inline_run_is_read(owner: Api, fake: FakeModel) -> None:
    await owner.new_model(fake, fake.script("inline-files", Say("Done.")))
    first = await owner.finished(
        await owner.new_agent("first", **FILE_INPUT),
        {"input": {"report": "data:text/csv;name=data.csv;base64,YSxi"}},
    )
    asked = {"manifest": {}, "prompt": "Read.", "context_documents": [first["input"]["report"]]}
    launched = await owner.post("/api/runs/inline", asked)
    run = await owner.wait(launched.json["id"])

    assert run["status"] == "success", run
    assert run["document_counts"]["input"] == 1
    assert "`./documents/data.csv`" in told_files(fake.requests_of("inline-files")[-1])
