"""`appstrate documents`: the files that went into runs, and came out of them."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from appstrate.cli.output import local, safe, show_rows, tell
from appstrate.cli.terminal import AsJson, Url, call, connected, fail, group, path, run_work

Limit = Annotated[int, typer.Option(min=1, max=100, help="How many.")]


def list_documents(
    run: Annotated[str, typer.Option(help="Only those of this run.")] = "",
    agent: Annotated[str, typer.Option(help="Only those of runs of this agent.")] = "",
    outputs: Annotated[bool, typer.Option("--outputs", help="Only what came out.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List documents, newest first."""
    query = {"run_id": run, "packageId": agent, "limit": str(limit)}
    query |= {"purpose": "agent_output"} if outputs else {}
    page = run_work(call(url, "GET", "/api/documents", query=query))
    show_rows(
        page,
        "ID MADE SIZE KIND NAME",
        [
            (
                *(each["id"], local(each["createdAt"]), size(each["size"])),
                *("output" if each["purpose"] == "agent_output" else "input", each["name"]),
            )
            for each in page["data"]
        ],
        as_json=as_json,
        none="There are no documents.",
    )


documents = group("Fetch the files of runs.", list_documents)


@documents.command("get")
def get_document(
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="The document's id.")],
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file, a folder, or - for the standard output."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Fetch a document, under its own name unless told otherwise."""
    where = path("documents", document)
    if str(target) == "-":
        run_work(_to_output(url, where))
        return
    about = run_work(call(url, "GET", where))
    file = target or Path()
    if file.is_dir():
        file /= Path(about["name"]).name
    written = save(url, f"{where}/content", file, force=force)
    told = f"{safe(file)}, {size(written)}"
    tell(about | {"path": str(file)}, told, as_json=as_json)


def save(
    url: str | None, where: str, file: Path, *, force: bool, query: dict[str, str] | None = None
) -> int:
    """Write what a path of the API answers with into a file, whole or not at all."""
    if file.exists() and not force:
        fail(f"{file} is there already: choose another with --output, or use --force")
    unfinished = file.with_name(f".{file.name}.unfinished")

    async def work() -> int:
        async with connected(url) as client:
            with unfinished.open("wb") as into:
                return await client.save(where, into, **(query or {}))

    try:
        written = run_work(work(), f"Fetching {file.name}")
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def size(count: int) -> str:
    """Bytes, for people."""
    number, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


async def _to_output(url: str | None, where: str) -> Any:
    async with connected(url) as client:
        return await client.save(f"{where}/content", sys.stdout.buffer)
