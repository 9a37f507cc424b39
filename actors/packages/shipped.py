"""Packages shipped with the platform: archives in folders, published for all organizations."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
from semantic_version import Version

from actors.packages.content import ReadPackage, integrity_of, read_package
from actors.runtime import Refusal

log = structlog.get_logger("packages")

Publish = Callable[[ReadPackage], Awaitable[None]]


async def publish_shipped(
    folders: Sequence[Path], known: dict[tuple[str, str], str], publish: Publish
) -> int:
    """Publish every archive in `folders` that is not `known`, lower versions first.

    Returns how many were published. Never raises for an archive: one that cannot be read, whose
    bytes differ from what is published under its version, or whose name belongs to somebody, is
    logged and left out, and the rest go on.
    """
    archives = await asyncio.to_thread(_read, folders)
    unknown = [(p, c) for p, c in archives if integrity_of(c) not in known.values()]
    fresh: list[ReadPackage] = []
    for path, content in unknown:
        try:
            fresh.append(await asyncio.to_thread(read_package, content))
        except Refusal as refusal:
            log.warning("shipped package skipped", file=path.name, why=refusal.detail)
        except Exception:
            log.exception("shipped package skipped", file=path.name)
    published = 0
    for package in sorted(fresh, key=lambda p: (p.id, Version(p.manifest["version"]))):
        version = package.manifest["version"]
        if (package.id, version) in known:
            log.error(
                "shipped package refused: this version is published with other bytes, raise it",
                package=package.id,
                version=version,
            )
            continue
        try:
            await publish(package)
        except Refusal as refusal:
            log.warning("shipped package skipped", package=package.id, why=refusal.detail)
        except Exception:
            log.exception("shipped package skipped", package=package.id)
        else:
            published += 1
            log.info("shipped package published", package=package.id, version=version)
    return published


def _read(folders: Sequence[Path]) -> list[tuple[Path, bytes]]:
    found: list[tuple[Path, bytes]] = []
    for folder in folders:
        if not folder.is_dir():
            log.warning("SYSTEM_PACKAGES_DIR names no folder", folder=str(folder))
            continue
        for path in sorted(folder.iterdir()):
            if path.suffix in (".afps", ".zip") and path.is_file():
                try:
                    found.append((path, path.read_bytes()))
                except OSError as error:
                    log.warning("shipped package skipped", file=path.name, why=str(error))
    return found
