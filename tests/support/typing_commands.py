"""Commands typed in this process, at the application the tests share: quick, and the same code."""

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from appstrate.cli.access import write_private
from appstrate.cli.commands import app
from support.api import PASSWORD, Api

DEFAULTS = {"NO_COLOR": "1", "COLUMNS": "200", "APPSTRATE_API_KEY": None}


class Keyboard:
    """Types commands in a folder, as somebody who has signed in there."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.login = folder / "config" / "appstrate" / "cli.json"
        self._variables: dict[str, str | None] = {
            "APPSTRATE_URL": url,
            "XDG_CONFIG_HOME": str(folder / "config"),
            "DATA_DIR": str(folder / "data"),
            "APPSTRATE_PASSWORD": PASSWORD,
        }

    async def sign_in(self, owner: Api) -> None:
        """As `appstrate login` does, without its second for the password."""
        made = (await owner.post("/api/api-keys", {"name": "Command line"})).json
        write_private(
            self.login,
            {
                "url": owner.url,
                "email": owner.email,
                "orgId": owner.org["id"],
                "slug": owner.org["slug"],
                "applicationId": owner.application["id"],
                "apiKey": made["key"],
            },
        )

    async def __call__(self, *arguments: object, typed: str = "", **variables: str) -> Result:
        env = DEFAULTS | self._variables | variables
        words = [str(argument) for argument in arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, words, input=typed, env=env)

    async def json(self, *arguments: object, **variables: str) -> Any:
        """The one document that a command prints for programs."""
        said = await self(*arguments, "--json", **variables)
        assert said.exit_code == 0, said.stderr
        return json.loads(said.stdout)

    async def told(self, *arguments: object, **variables: str) -> str:
        """What a command prints that does what it was told."""
        said = await self(*arguments, **variables)
        assert said.exit_code == 0, said.stderr
        return str(said.stdout)
