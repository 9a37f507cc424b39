"""Which packages a caller may look at, and which they may change."""

from actors.accounts import Caller
from actors.ids import PackageId
from actors.packages.manifest import PackageType
from actors.packages.records import PackageRecords, StoredPackage, StoredVersion
from actors.runtime import NotFound, Rejected


async def find_visible(
    records: PackageRecords, caller: Caller, package: PackageId, kind: PackageType | None = None
) -> StoredPackage:
    """A package that is installed in the caller's application, or shipped with the platform.

    Refuses every other with `NotFound`; one of the caller's own organization is told apart, so
    that they know what to do.
    """
    found = await records.visible(*caller.tenant, package)
    if found is not None and kind in (found.type, None):
        return found
    known = found or await records.find(package)
    if known is not None and known.org_id == caller.org and kind in (known.type, None):
        raise NotFound(
            f"{package} is not installed in this application: install it first",
            code=f"{'agent' if known.type == 'agent' else 'package'}_not_installed_in_app",
        )
    code = "agent_not_found" if kind == "agent" else "not_found"
    raise NotFound(f"there is no {kind or 'package'} {package} in this application", code=code)


async def find_own(
    records: PackageRecords, caller: Caller, package: PackageId, kind: PackageType | None = None
) -> StoredPackage:
    """The same, for changing it: what the platform ships is refused."""
    found = await find_visible(records, caller, package, kind)
    if found.org_id is None:
        raise Rejected(
            f"{package} is shipped with the platform and cannot be changed: fork it",
            code="operation_not_allowed",
        )
    return found


async def find_version(
    records: PackageRecords, package: StoredPackage, query: str
) -> StoredVersion:
    """The published version that a query means: exact, a tag or a range."""
    version = package.choose(query)
    found = await records.version(package.id, version) if version else None
    if found is not None:
        return found
    if package.versions:
        told = f"no published version of {package.id} fits {query!r}"
        raise NotFound(told, param="version")
    raise NotFound(
        f"{package.id} was never published: publish its draft, or ask for ?version=draft",
        code="no_published_version",
    )
