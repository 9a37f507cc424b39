"""Documents are deleted, published and read at the same moment: one waits, none deadlocks."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.files import SweepFiles
from actors.ids import OrgId
from appstrate.boot import Server
from support.api import Answer, Api
from support.fake_model import FakeModel, Say
from support.files import FILE_INPUT
from support.sinks import database_of
from support.waiting import until

HOLD_RUN = "SELECT FROM runs WHERE id = $1 FOR NO KEY UPDATE"
HOLD_DOCUMENT = "SELECT FROM documents WHERE id = $1 FOR UPDATE"
LEAD = "UPDATE documents SET presentation = NULL WHERE run_id = $1"
COUNT = "UPDATE organizations SET documents_bytes_used = documents_bytes_used + 1 WHERE id = $1"


@pytest.fixture
async def agent(owner: Api, fake: FakeModel) -> str:
    write = {"bash": {"command": "mkdir outputs; echo a > outputs/a.csv"}}
    steps = (Say("", write), Say("Done."))
    await owner.new_model(fake, fake.script(f"locks-{owner.org['slug']}", *steps, *steps))
    return await owner.new_agent("locks", **FILE_INPUT)


async def test_a_document_is_deleted_while_its_run_publishes(
    owner: Api, server: Server, agent: str
) -> None:
    run, document = await _published(owner, agent)
    deleting = owner.delete(f"/api/documents/{document}")
    deleted = await _meanwhile(server, (HOLD_RUN, run), owner.org["id"], deleting, (LEAD, run))

    assert deleted.status == 204


async def test_a_document_expires_while_its_run_publishes(
    owner: Api, server: Server, agent: str
) -> None:
    run, document = await _published(owner, agent)
    expire = "UPDATE documents SET expires_at = now() WHERE id = $1"
    await database_of(server).execute(expire, document)
    sweeping = server.at.file_sweeper.ask(SweepFiles(now=datetime.now(UTC)))
    swept = await _meanwhile(server, (HOLD_RUN, run), owner.org["id"], sweeping, (LEAD, run))

    assert swept >= 1
    assert (await owner.get(f"/api/documents/{document}")).status == 404


async def test_documents_go_with_what_they_belong_to_while_their_run_publishes(
    owner: Api, server: Server, agent: str
) -> None:
    run, document = await _published(owner, agent)
    # As the deletion of an end user does it, or of whatever they refer to.
    going = database_of(server).execute("DELETE FROM documents WHERE id = $1", document)
    await _meanwhile(server, (HOLD_RUN, run), owner.org["id"], going)

    assert (await owner.get(f"/api/documents/{document}")).status == 404


async def test_a_document_is_read_by_a_launch_while_another_is_deleted(
    owner: Api, server: Server, agent: str
) -> None:
    _, document = await _published(owner, agent)
    given = {"extras": [f"document://{document}", "data:;base64,YWJj"]}
    launching = owner.launch(agent, {"input": given})
    launched: Answer = await _meanwhile(
        server, (HOLD_DOCUMENT, document), owner.org["id"], launching
    )

    assert launched.status == 201, launched.body
    await owner.wait(launched.json["id"])


async def _published(owner: Api, agent: str) -> tuple[str, str]:
    """A run that has ended, and the document it has published."""
    run = (await owner.finished(agent))["id"]
    made = (await owner.get(f"/api/documents?run_id={run}")).json["data"]
    return run, made[0]["id"]


async def _meanwhile(
    server: Server,
    hold: tuple[str, str],
    org: OrgId,
    work: Coroutine[Any, Any, Any],
    *then: tuple[str, str],
) -> Any:
    """What some work answers that begins while another transaction holds a row, and which then
    does more, and counts bytes of the same organization.
    """
    pool, (statement, row) = database_of(server), hold
    async with pool.transaction() as connection:
        await connection.execute(statement, row)
        holder = await connection.fetchval("SELECT pg_backend_pid()")
        working = asyncio.ensure_future(work)
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
        await until(lambda: pool.fetchval(blocked, holder))
        for each in then:
            await connection.execute(*each)
        await connection.execute(COUNT, org)
    return await working
