"""Routes for the administrators of the platform: how the server and its parts are, who did what."""

from actors.audit import AuditEvent, AuditQuery, ReadChanges
from actors.extension_host import ExtensionStatus, ListExtensions
from appstrate.http.call import Call, Page, Query, Routes, Scope, number, page
from appstrate.http.routes.runs import moment

routes = Routes()

FILTERS = (
    Query("orgId", "Changes of one organization, which may be gone."),
    Query("actor", "Changes by one user or API key, by its id."),
    Query("action", "One kind of change: the name of an operation."),
    Query("resource", "Changes of one thing, by its id."),
    Query("start_date", "Changes at this date or moment, or later."),
    Query("end_date", "Changes at this date or moment, or before."),
    Query("startingAfter", "The id of the last change of the page before."),
    Query("limit", "Changes on a page.", number(100, 50)),
)


@routes.add("GET", "/api/admin/audit", Scope.PLATFORM, query=FILTERS)
async def list_changes(call: Call) -> Page[AuditEvent]:
    """Administrative changes of the whole platform, the latest first."""
    limit = call.number("limit", 50, most=100)
    query = AuditQuery(
        limit=limit + 1,
        org=call.query("orgId"),
        actor=call.query("actor"),
        action=call.query("action"),
        resource=call.query("resource"),
        since=moment(call, "start_date"),
        until=moment(call, "end_date", after=True),
        before=call.number("startingAfter", 0, most=2**62) or None,
    )
    found = await call.at.audit.ask(ReadChanges(query=query))
    if len(found) > limit:
        call.next_page(startingAfter=str(found[limit - 1].id))
    return page(found[:limit], has_more=len(found) > limit)


@routes.add("GET", "/api/admin/extensions", Scope.PLATFORM)
async def list_extensions(call: Call) -> Page[ExtensionStatus]:
    """The installed extensions, and whether each runs, or why it does not."""
    return page(list(await call.at.extension_host.ask(ListExtensions())))
