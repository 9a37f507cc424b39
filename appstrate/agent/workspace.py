"""Unpacking the skills of a run's bundle."""

import io
import json
import zipfile
from pathlib import Path, PurePosixPath

SKILLS = ".pi/skills"


class BundleError(Exception):
    """The bundle cannot be used."""


def unpack_skills(bundle: bytes, workspace: Path) -> list[str]:
    """Put every skill of a bundle under `.pi/skills/@scope/name/` and return their names.

    The bundle comes from our own server; a path that would leave its folder is refused all the
    same.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(bundle))
        index = json.loads(archive.read("bundle.json"))
        packages: dict[str, dict[str, str]] = index["packages"]
        found: list[str] = []
        for identity, entry in packages.items():
            if identity == index["root"]:
                continue
            folder = entry["path"]
            manifest = json.loads(archive.read(f"{folder}manifest.json"))
            if manifest.get("type") != "skill":
                continue
            _unpack(archive, folder, workspace / SKILLS / manifest["name"])
            found.append(manifest["name"])
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise BundleError(f"the run's bundle cannot be unpacked: {error}") from None
    return found


def _unpack(archive: zipfile.ZipFile, folder: str, target: Path) -> None:
    for name in archive.namelist():
        if not name.startswith(folder) or name == f"{folder}RECORD":
            continue
        relative = PurePosixPath(name[len(folder) :])
        if relative.is_absolute() or ".." in relative.parts:
            raise BundleError(f"the bundle holds an unsafe path: {name}")
        place = target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(archive.read(name))
