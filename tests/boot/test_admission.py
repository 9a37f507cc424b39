"""What a server says at its start about who may come in."""

from pathlib import Path

from support.api import PASSWORD, Api
from support.postgres import Postgres, url_of
from support.processes import ServerProcess

ANYWHERE = "0.0.0.0"  # noqa: S104 - that is the point


async def test_a_server_that_others_reach_says_who_may_sign_up_and_how_to_own_it(
    tmp_path: Path, postgres: Postgres
) -> None:
    database = url_of(await postgres.fresh_database())
    open_ = ServerProcess(tmp_path / "data", DATABASE_URL=database, HOST=ANYWHERE)
    closed = ServerProcess(
        tmp_path / "data", DATABASE_URL=database, HOST=ANYWHERE, AUTH_DISABLE_SIGNUP="true"
    )
    await open_.start()
    said = open_.log()
    token = said.partition("/claim?token=")[2].split()[0]
    body = {"token": token, "email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    claimed = await Api(open_.url).post("/api/auth/bootstrap/redeem", body)
    await open_.stop()
    await closed.start()
    await closed.stop()
    said_then = closed.log().removeprefix(said)

    assert "Anybody who reaches 0.0.0.0 can sign up here" in said
    assert claimed.status == 200
    assert "Appstrate is at" in said_then
    assert "can sign up here" not in said_then
    assert "/claim" not in said_then
