"""`appstrate packages`: building and importing them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from appstrate.cli.terminal import Url, console, errors, fail, run_work

packages = typer.Typer(no_args_is_help=True, help="Build and import packages.")


@packages.command("build")
def build_packages(
    sources: Annotated[Path, typer.Argument(help="A folder of package folders.")],
    target: Annotated[Path, typer.Argument(help="Where the archives go.")],
    check: Annotated[bool, typer.Option(help="Change nothing; fail on differences.")] = False,
) -> None:
    """Build package archives from their sources, the same bytes every time."""
    from appstrate.cli.archives import BuildError, build, differences

    try:
        if check:
            if told := differences(sources, target):
                fail("\n".join(told))
            console.print(f"The archives in {target} are what {sources} makes.")
            return
        changed = build(sources, target)
    except BuildError as error:
        fail(str(error))
    for path in changed:
        console.print(f"built {path}")


@packages.command("import")
def import_package(
    archive: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    force: Annotated[bool, typer.Option(help="Overwrite drafts and published bytes.")] = False,
    url: Url = None,
) -> None:
    """Import a package archive (.afps or .zip)."""
    made = run_work(_import(url, archive.name, archive.read_bytes(), force=force))
    console.print(f"Imported {made['packageId']} {made['version']} ({made['type']})")
    for warning in made.get("warnings", []):
        errors.print(Text(warning, "yellow"))


async def _import(url: str | None, name: str, content: bytes, *, force: bool) -> dict[str, Any]:
    from appstrate.cli.access import find_access
    from appstrate.cli.client import Client

    access = find_access(url)
    async with Client(access.url, access.api_key) as client:
        options = {"force": "true"} if force else {}
        made: dict[str, Any] = await client.upload("/api/packages/import", name, content, **options)
    return made
