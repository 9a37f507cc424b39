"""Dependencies that lead back to where they began, which no published package may have."""

from collections.abc import Awaitable, Callable, Sequence

from actors.ids import PackageId
from actors.packages.manifest import Manifest, dependencies
from actors.runtime import FieldProblem, Rejected

ReadManifests = Callable[[list[PackageId]], Awaitable[dict[PackageId, Manifest]]]
KINDS = ("skills", "mcp_servers", "integrations")


async def check_cycle(manifest: Manifest, read: ReadManifests) -> None:
    """Refuse a manifest through whose dependencies, breadth first, its package is reached."""
    root = PackageId(manifest["name"])
    came_from: dict[PackageId, PackageId] = {}
    level = {root: manifest}
    while level:
        reached: list[PackageId] = []
        for name, declared in level.items():
            for needed in _needed(declared):
                if needed not in came_from:
                    came_from[needed] = name
                    reached.append(needed)
        if root in came_from:
            raise _refusal(_path(root, came_from))
        level = await read(reached) if reached else {}


def _needed(manifest: Manifest) -> list[PackageId]:
    return [PackageId(name) for kind in KINDS for name in dependencies(manifest, kind)]


def _path(root: PackageId, came_from: dict[PackageId, PackageId]) -> list[PackageId]:
    path = [root, came_from[root]]
    while path[-1] != root:
        path.append(came_from[path[-1]])
    return path[::-1]


def _refusal(path: Sequence[PackageId]) -> Rejected:
    told = " → ".join(path)
    problem = FieldProblem(
        field="dependencies", code="invalid_value", message=f"lead in a circle: {told}"
    )
    return Rejected(
        f"the dependencies of {path[0]} lead in a circle: {told}",
        code="validation_failed",
        param="dependencies",
        problems=[problem],
    )
