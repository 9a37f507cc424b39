"""What a run's shell can do to the machine it is on, and how it reaches the internet."""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from appstrate.boot import Server
from support.api import Api
from support.fake_model import FakeModel, Say
from support.walls import REQUIRED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has walls")

FETCH = """python3 - <<'END'
import os, urllib.request, urllib.error
def fetch(url):
    try:
        return urllib.request.urlopen(url, timeout=20).read().decode()
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"
os.environ["no_proxy"] = os.environ["NO_PROXY"] = ""
print(fetch(os.environ["PLATFORM"] + "/health")[:20])
print(fetch("http://169.254.169.254/latest/meta-data"))
print(fetch("http://127.0.0.1:5432/"))
END
"""


async def shell(owner: Api, fake: FakeModel, name: str, command: str) -> str:
    """What a command says to the model of a run that is over by now."""
    model = fake.script(name, Say("", {"bash": {"command": command}}), Say("Done."))
    await owner.new_model(fake, model)
    run = await owner.finished(await owner.new_agent(name))
    assert run["status"] == "success", run
    [told] = [m for m in fake.requests_of(model)[1]["messages"] if m["role"] == "tool"]
    return str(told["content"])


async def test_health_tells_of_each_wall_by_itself(owner: Api) -> None:
    found = await owner.walls()

    assert set(found) == {"files", "processes", "tcp", "limits", "user"}
    if REQUIRED:
        assert all(up for name, up in found.items() if name != "user")


async def test_a_shell_reads_nothing_of_the_server(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    if not (await owner.walls())["files"]:
        pytest.skip("no wall around files here")
    data = Path(server._lock._path).parent.parent
    assert (data / "secrets.json").exists()
    told = await shell(
        owner, fake, "curious", f"cat {data}/secrets.json; ls {data} {data}/postgres; echo over"
    )

    assert "over" in told
    assert "AUTH_SECRET" not in told
    assert "pgdata" not in told


async def test_a_shell_has_the_internet_but_not_this_machine(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    command = f"export PLATFORM={server.local_url}; {FETCH}"
    told = (await shell(owner, fake, "surfing", command)).splitlines()

    assert told[0].startswith('{"status":"healthy"')
    assert [line for line in told if "Blocked" in line] == ["403 Blocked: internal network"] * 2


async def test_the_password_of_a_run_opens_nothing_once_it_is_over(
    owner: Api, fake: FakeModel, server: Server
) -> None:
    told = json.loads(
        await shell(
            owner,
            fake,
            "leaking",
            'python3 -c "import os, json; print(json.dumps(dict(os.environ)))"',
        )
    )
    proxy = urlsplit(told["HTTPS_PROXY"])
    secret = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    for name in ("HTTP_PROXY", "http_proxy", "https_proxy"):
        assert told[name] == told["HTTPS_PROXY"]
    assert "127.0.0.1" in told["NO_PROXY"]
    assert not {"APPSTRATE_SINK_SECRET", "MODEL_API_KEY", "APPSTRATE_WALLS"} & set(told)
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"{server.local_url}/health",
            proxy=f"http://{proxy.hostname}:{proxy.port}",
            headers={"Proxy-Authorization": f"Basic {secret}"},
        ) as answer,
    ):
        assert answer.status == 407
        assert "ended" in await answer.text()
