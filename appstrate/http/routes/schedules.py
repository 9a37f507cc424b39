"""Schedules: agents that run by themselves."""

from datetime import datetime

import msgspec

from actors.ids import ScheduleId
from actors.packages import ShowPackage
from actors.runs import Admit, Run, RunQuery
from actors.schedules import (
    ChangeSchedule,
    CreateSchedule,
    DeleteSchedule,
    Fire,
    ListFires,
    ListSchedules,
    LookAgain,
    PlanSchedule,
    PreviewSchedule,
    ReadSchedule,
    Schedule,
    ScheduleChanges,
    ScheduleSpec,
)
from appstrate.http.call import Call, Page, Query, Routes, Scope, number, page
from appstrate.http.refusals import OF_LAUNCHES
from appstrate.http.routes.runs import MOST_OFFSET, OFFSET, list_page

routes = Routes()

OF_AGENT = "/api/agents/{scope}/{name}/schedules"
ONE = "/api/schedules/{schedule}"


class PreviewBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """When something is due."""

    cron_expression: str
    timezone: str = "UTC"


class DueTimes(msgspec.Struct, kw_only=True):
    """The next due times, in UTC."""

    due: list[datetime]


@routes.add("GET", "/api/schedules", Scope.APPLICATION)
async def list_schedules(call: Call) -> Page[Schedule]:
    """The schedules of the application, oldest first."""
    return page(await call.at.schedules.ask(ListSchedules(caller=call.caller)))


@routes.add("GET", OF_AGENT, Scope.APPLICATION)
async def list_agent_schedules(call: Call) -> Page[Schedule]:
    """The schedules of one agent, oldest first."""
    show = ShowPackage(caller=call.caller, type="agent", package=call.package)
    await call.at.packages.ask(show)
    asking = ListSchedules(caller=call.caller, package=call.package)
    return page(await call.at.schedules.ask(asking))


@routes.add(
    "POST",
    OF_AGENT,
    Scope.APPLICATION,
    "schedules:write",
    body=ScheduleSpec,
    status=201,
    limit=10,
    refuses={400: "locked_input_field", 409: "conflict"},
)
async def create_schedule(call: Call, body: ScheduleSpec) -> Schedule:
    """Have an agent run by itself.

    What would never fire or never launch is refused, with the reason. `overlap_policy` `skip`
    leaves out due times while a run of the schedule is active; `misfire_policy` `once` makes up
    for missed ones with a single run.
    """
    message = CreateSchedule(caller=call.caller, package=call.package, spec=body)
    made = await call.at.schedules.ask(message)
    call.at.scheduler.tell(LookAgain())
    return made


@routes.add("POST", "/api/schedules/preview", Scope.APPLICATION, "schedules:read", body=PreviewBody)
async def preview_schedule(call: Call, body: PreviewBody) -> DueTimes:
    """The next five due times of an expression."""
    message = PreviewSchedule(cron_expression=body.cron_expression, timezone=body.timezone)
    return DueTimes(due=await call.at.schedules.ask(message))


@routes.add("GET", ONE, Scope.APPLICATION)
async def read_schedule(call: Call) -> Schedule:
    """One schedule."""
    return await call.at.schedules.ask(ReadSchedule(caller=call.caller, schedule=_schedule(call)))


@routes.add(
    "PUT",
    ONE,
    Scope.APPLICATION,
    "schedules:write",
    body=ScheduleChanges,
    refuses={409: "conflict"},
)
async def change_schedule(call: Call, body: ScheduleChanges) -> Schedule:
    """Change what is given, and leave the rest.

    What would never launch is refused when that is changed, or when the schedule is enabled.
    """
    message = ChangeSchedule(caller=call.caller, schedule=_schedule(call), changes=body)
    changed = await call.at.schedules.ask(message)
    call.at.scheduler.tell(LookAgain())
    return changed


@routes.add("DELETE", ONE, Scope.APPLICATION, "schedules:delete", status=204)
async def delete_schedule(call: Call) -> None:
    """Delete a schedule; the runs it made stay."""
    await call.at.schedules.ask(DeleteSchedule(caller=call.caller, schedule=_schedule(call)))


@routes.add(
    "GET",
    f"{ONE}/runs",
    Scope.APPLICATION,
    query=(Query("limit", "Runs on a page.", number(100, 20)), OFFSET),
)
async def list_schedule_runs(call: Call) -> Page[Run]:
    """The runs a schedule made, newest first."""
    found = await call.at.schedules.ask(ReadSchedule(caller=call.caller, schedule=_schedule(call)))
    query = RunQuery(
        limit=call.number("limit", 20, most=100),
        offset=call.number("offset", 0, most=MOST_OFFSET, least=0),
        schedule=found.id,
    )
    return await list_page(call, query)


@routes.add(
    "GET",
    f"{ONE}/fires",
    Scope.APPLICATION,
    "schedules:read",
    query=(Query("limit", "Due times on a page.", number(100, 20)),),
)
async def list_fires(call: Call) -> Page[Fire]:
    """What became of the last due times: fired, skipped or refused, and why."""
    message = ListFires(
        caller=call.caller, schedule=_schedule(call), limit=call.number("limit", 20, most=100)
    )
    return page(await call.at.schedules.ask(message))


@routes.add(
    "POST",
    f"{ONE}/run",
    Scope.APPLICATION,
    "agents:run",
    status=201,
    limit=20,
    refuses=OF_LAUNCHES,
)
async def run_schedule(call: Call) -> Run:
    """Launch now what the schedule would launch; the run is one of the schedule's."""
    planning = PlanSchedule(caller=call.caller, schedule=_schedule(call))
    plan = await call.at.schedules.ask(planning)
    return await call.at.run_manager.ask(Admit(plan=plan))


def _schedule(call: Call) -> ScheduleId:
    return ScheduleId(call.request.match_info["schedule"])
