"""`appstrate packages`: building, checking, importing, fetching and removing them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from appstrate.cli.output import print_json, safe, show_rows, tell
from appstrate.cli.terminal import (
    AsJson,
    Url,
    Waiting,
    agent_parts,
    command_name,
    connected,
    console,
    errors,
    fail,
    group,
    path,
    run_work,
)

PackageName = Annotated[str, typer.Argument(metavar="PACKAGE", help="As @scope/name.")]
KINDS = {"agent": "agents", "skill": "skills"}
BUNDLE = ".afps-bundle"


def list_packages(as_json: AsJson = False, url: Url = None) -> None:
    """List the packages of the application, and those that come with the platform."""

    async def work() -> list[dict[str, Any]]:
        async with connected(url) as client:
            return [
                {"type": kind} | package
                for kind, named in KINDS.items()
                for package in (await client.get(path("packages", named)))["data"]
            ]

    found = run_work(work())
    show_rows(
        {"object": "list", "data": found, "hasMore": False},
        "PACKAGE KIND VERSION SOURCE ABOUT",
        [
            (
                *(each["id"], each["type"], each["version"] or "draft", each["source"]),
                each["description"],
            )
            for each in sorted(found, key=lambda package: str(package["id"]))
        ],
        as_json=as_json,
        none=f"There are no packages yet: `{command_name()} packages import` brings one.",
    )


packages = group("Build, check, import, fetch and remove packages.", list_packages)


@packages.command("build")
def build_packages(
    sources: Annotated[
        Path, typer.Argument(metavar="SOURCES", help="A package's folder, or a folder of those.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="Where the archives go.")
    ] = Path(),
    check: Annotated[bool, typer.Option(help="Change nothing; fail on differences.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build package archives from their sources, the same bytes every time.

    A package's folder becomes NAME-VERSION.afps; of a folder of them each takes its own name.
    """
    from appstrate.cli.archives import BuildError, build, differences

    try:
        with Waiting("Building"):
            told = differences(sources, target) if check else []
            changed = [] if check else build(sources, target)
    except BuildError as error:
        fail(str(error))
    if as_json:
        print_json({"built": [str(made) for made in changed], "differences": told})
    elif told:
        fail("\n".join(told))
    elif check:
        console.print(f"The archives in {target} are what {sources} makes.")
    else:
        for made in changed:
            console.print(f"built {made}")
    raise typer.Exit(1 if told else 0)


@packages.command("validate")
def validate_package(
    archive: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", exists=True, help="An archive, or its folder.")
    ],
    as_json: AsJson = False,
) -> None:
    """Check a package as an import would, without a server; tells every problem at once."""
    from actors.runtime import Refusal
    from appstrate.cli.archives import BuildError, examine

    problems: list[str] = []
    warnings: list[str] = []
    told: dict[str, Any] = {}
    try:
        package = examine(archive)
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
        print_json({"valid": not problems, "problems": problems, "warnings": warnings} | told)
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
    archive: Annotated[
        Path,
        typer.Argument(
            metavar="ARCHIVE", exists=True, help="A .afps, .zip or .afps-bundle, or a folder."
        ),
    ],
    force: Annotated[bool, typer.Option(help="Overwrite drafts and published bytes.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Import a package: from an archive, a bundle, or the folder it is written in."""
    from appstrate.cli.archives import BuildError, packed

    try:
        content = packed(archive) if archive.is_dir() else archive.read_bytes()
    except BuildError as error:
        fail(str(error))
    bundle = archive.suffix == BUNDLE
    name = f"{archive.resolve().name}.afps" if archive.is_dir() else archive.name

    async def work() -> dict[str, Any]:
        async with connected(url) as client:
            where = path("packages", "import-bundle" if bundle else "import")
            options = {"force": "true"} if force and not bundle else {}
            return dict(await client.upload(where, name, content, **options))

    made = run_work(work(), f"Importing {name}")
    if as_json:
        print_json(made)
    elif bundle:
        for each in made["imported"]:
            console.print(f"{safe(each['identity'])}: {each['status']}")
    else:
        console.print(f"Imported {safe(made['packageId'])} {made['version']} ({made['type']})")
    for warning in made.get("warnings") or []:
        errors.print(Text(str(warning), "yellow"))


@packages.command("export")
def export_package(
    package: PackageName,
    version: Annotated[str, typer.Option(help="A version; without it, the latest.")] = "",
    bundle: Annotated[
        bool, typer.Option("--bundle", help="An agent with everything it needs, in one file.")
    ] = False,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file, or a folder.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Fetch a published package as an archive, the bytes that were published."""
    from appstrate.cli.documents import save, size

    parts = agent_parts(package)
    file = target or Path()
    if file.is_dir():
        told = f"{parts[1]}-{version}" if version else parts[1]
        file /= told + (BUNDLE if bundle else ".afps")
    if bundle:
        where, query = path("agents", *parts, "bundle"), {"version": version} if version else {}
    else:
        where, query = path("packages", *parts, version or "latest", "download"), {}
    written = save(url, where, file, force=force, query=query)
    document = {"packageId": package, "path": str(file), "size": written}
    tell(document, f"{safe(file)}, {size(written)}", as_json=as_json)


@packages.command("remove")
def remove_package(package: PackageName, as_json: AsJson = False, url: Url = None) -> None:
    """Remove a package with all its versions; runs of an agent stay."""
    from appstrate.cli.client import ApiError, RefusedError

    parts = agent_parts(package)

    async def work() -> Any:
        async with connected(url) as client:
            for named in KINDS.values():
                try:
                    return await client.delete(path("packages", named, *parts))
                except RefusedError as error:
                    if error.status != 404:
                        raise
            raise ApiError(f"there is no package {package} in this application")

    run_work(work())
    tell({"packageId": package, "removed": True}, "Removed.", as_json=as_json)
