"""`appstrate packages`: building, checking and importing them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from appstrate.cli.terminal import AsJson, Url, console, errors, fail, run_work

packages = typer.Typer(no_args_is_help=True, help="Build, check and import packages.")


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


@packages.command("validate")
def validate_package(
    path: Annotated[Path, typer.Argument(exists=True, help="An archive, or a package's folder.")],
    as_json: AsJson = False,
) -> None:
    """Check a package as an import would, without a server; tells every problem at once."""
    from actors.runtime import Refusal
    from appstrate.cli.archives import BuildError, examine

    problems: list[str] = []
    warnings: list[str] = []
    told: dict[str, Any] = {}
    try:
        package = examine(path)
    except BuildError as error:
        problems = [str(error)]
    except Refusal as refusal:
        each = [f"{problem.field}: {problem.message}" for problem in refusal.problems]
        problems = each or [refusal.detail]
    else:
        warnings = package.warnings
        version = package.manifest["version"]
        told = {"packageId": package.id, "type": package.type, "version": version}
    if as_json:
        verdict = {"valid": not problems, "problems": problems, "warnings": warnings}
        print(json.dumps(verdict | told, indent=2))  # noqa: T201 - for programs
    else:
        for warning in warnings:
            errors.print(Text(warning, "yellow"))
        for problem in problems:
            errors.print(Text(problem, "red"))
        if told:
            console.print(f"{told['packageId']} {told['version']} ({told['type']}) is good.")
    raise typer.Exit(1 if problems else 0)


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
