"""Routes for the administrators of the platform: how the server and its parts are."""

from actors.extension_host import ExtensionStatus, ListExtensions
from actors.runtime import Rejected
from appstrate.http.call import Call, Page, Routes, Scope, page

routes = Routes()


def admins_only(call: Call) -> None:
    """Refuse whoever does not administer the platform; keys never do."""
    if not call.caller.platform_admin:
        raise Rejected("only administrators of the platform may see this", code="forbidden")


@routes.add("GET", "/api/admin/extensions", Scope.SESSION)
async def list_extensions(call: Call) -> Page[ExtensionStatus]:
    """The installed extensions, and whether each runs, or why it does not."""
    admins_only(call)
    return page(list(await call.at.extension_host.ask(ListExtensions())))
