"""Schedules as people keep them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import msgspec
from msgspec.structs import asdict, replace

from actors.accounts import ActAs, Caller, Members
from actors.ids import EndUserId, ModelId, PackageId, ScheduleId, UserId, new_schedule_id
from actors.models import Generation
from actors.notifications import NotificationRecords, recipient
from actors.packages import AgentDefinition, Packages, ResolveAgent
from actors.packages.manifest import parameters
from actors.runs import Launcher, PlanRun, RunPlan, ScheduledFire, Wish
from actors.runtime import Actor, Address, Lane, NotFound, Refusal, Rejected, Request
from actors.schedules.cron import check_cron, next_fire, preview
from actors.schedules.records import Fire, Schedule, ScheduleRecords
from actors.schedules.rules import MisfirePolicy, OverlapPolicy
from actors.schemas import is_file_field

# What a launch calls otherwise than a schedule does.
SPELT = {
    "modelId": "model_id_override",
    "proxyId": "proxy_id_override",
    "version": "version_override",
}


class ActorSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On whose behalf a schedule runs: a member, or an end user of the application."""

    user_id: str | None = None
    end_user_id: str | None = None


class ScheduleWish(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of a schedule; what is not there stays as it is."""

    name: str | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    input: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    model_id_override: str | msgspec.UnsetType | None = msgspec.UNSET
    generation_config_override: Generation | msgspec.UnsetType | None = msgspec.UNSET
    proxy_id_override: str | msgspec.UnsetType | None = msgspec.UNSET
    version_override: str | msgspec.UnsetType | None = msgspec.UNSET
    connection_overrides: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET
    dependency_overrides: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET
    overlap_policy: OverlapPolicy | msgspec.UnsetType = msgspec.UNSET
    misfire_policy: MisfirePolicy | msgspec.UnsetType = msgspec.UNSET
    actor: ActorSpec | msgspec.UnsetType | None = msgspec.UNSET


class ScheduleSpec(ScheduleWish, frozen=True, kw_only=True):
    """A schedule to be made."""

    cron_expression: str
    timezone: str = "UTC"


class ScheduleChanges(ScheduleWish, frozen=True, kw_only=True):
    """What of a schedule is to be changed."""

    cron_expression: str | msgspec.UnsetType = msgspec.UNSET
    timezone: str | msgspec.UnsetType = msgspec.UNSET


class CreateSchedule(Request["Schedules", Schedule], frozen=True, kw_only=True):
    """Make a schedule of an agent the application sees, by default in the caller's name.

    Refuses what would never fire or never launch: zone, expression, actor, version and model that
    do not exist, input that does not fit the agent, an agent that takes files.
    """

    caller: Caller
    package: PackageId
    spec: ScheduleSpec


class ListSchedules(Request["Schedules", list[Schedule]], frozen=True, kw_only=True):
    """The schedules of the application, or of one agent in it, oldest first."""

    caller: Caller
    package: PackageId | None = None


class ReadSchedule(Request["Schedules", Schedule], frozen=True, kw_only=True):
    """One schedule."""

    caller: Caller
    schedule: ScheduleId


class ChangeSchedule(Request["Schedules", Schedule], frozen=True, kw_only=True):
    """Change a schedule. Enabling one forgets why it was disabled.

    Of changes made at once each keeps what the others change. What is launched is checked, as when
    the schedule was made, if that changes or it is enabled: one that cannot be launched any more
    can be paused, moved and renamed nevertheless.
    """

    caller: Caller
    schedule: ScheduleId
    changes: ScheduleChanges


class DeleteSchedule(Request["Schedules", None], frozen=True, kw_only=True):
    """Delete a schedule; the runs it made stay."""

    caller: Caller
    schedule: ScheduleId


class ListFires(Request["Schedules", list[Fire]], frozen=True, kw_only=True):
    """What became of the last due times, the latest first."""

    caller: Caller
    schedule: ScheduleId
    limit: int = 20


class PreviewSchedule(Request["Schedules", list[datetime]], frozen=True, kw_only=True):
    """The next five due times an expression would have, in UTC; refuses what would have none."""

    cron_expression: str
    timezone: str


class PlanSchedule(Request["Schedules", RunPlan], frozen=True, kw_only=True):
    """Plan what the schedule would launch, now and in its actor's name."""

    caller: Caller
    schedule: ScheduleId


SchedulesMessage: TypeAlias = (
    CreateSchedule
    | ListSchedules
    | ReadSchedule
    | ChangeSchedule
    | DeleteSchedule
    | ListFires
    | PreviewSchedule
    | PlanSchedule
)


class Schedules(Actor):
    """Keeps schedules. Whoever changes one tells the Scheduler to look again."""

    lanes = (Lane("schedules", 16),)

    def __init__(
        self,
        records: ScheduleRecords,
        notifications: NotificationRecords,
        *,
        members: Address[Members],
        packages: Address[Packages],
        launcher: Address[Launcher],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self._records = records
        self._notifications = notifications
        self._members = members
        self._packages = packages
        self._launcher = launcher
        self._now = now

    async def receive(self, message: SchedulesMessage) -> Any:
        if not isinstance(message, PreviewSchedule):
            _check_member(message.caller)
        match message:
            case CreateSchedule():
                return await self._create(message)
            case ListSchedules():
                listed = await self._records.schedules(*message.caller.tenant, message.package)
                return await self._counted(message.caller, listed)
            case ReadSchedule():
                return await self._read(message.caller, message.schedule)
            case ChangeSchedule():
                return await self._change(message)
            case DeleteSchedule():
                if not await self._records.remove(*message.caller.tenant, message.schedule):
                    raise _unknown()
                return None
            case ListFires():
                found = await self._read(message.caller, message.schedule)
                tenant = message.caller.tenant
                return await self._records.fires(*tenant, found.id, message.limit)
            case PreviewSchedule():
                now = self._now()
                check_cron(message.cron_expression, message.timezone, now)
                return preview(message.cron_expression, message.timezone, now)
            case PlanSchedule():
                return await self._plan(message)
            case _:
                assert_never(message)

    async def _create(self, message: CreateSchedule) -> Schedule:
        caller, now = message.caller, self._now()
        org, application = caller.tenant
        fresh = Schedule(
            id=new_schedule_id(),
            package_id=message.package,
            user_id=caller.user,
            org_id=org,
            application_id=application,
            name=None,
            enabled=True,
            disabled_reason=None,
            cron_expression="",
            timezone="UTC",
            input=None,
            model_id_override=None,
            generation_config_override=None,
            proxy_id_override=None,
            version_override=None,
            connection_overrides=None,
            dependency_overrides=None,
            overlap_policy="allow",
            misfire_policy="skip",
            last_run_at=None,
            next_run_at=None,
            created_at=now,
            updated_at=now,
            actor_name=None,
        )
        made = self._with(fresh, message.spec)
        await self._check_launch(caller, made)
        return await self._records.add(made)

    async def _change(self, message: ChangeSchedule) -> Schedule:
        while True:  # once more whenever another was quicker
            before = await self._read(message.caller, message.schedule)
            after = self._with(before, message.changes)
            if (after.enabled and not before.enabled) or _launched(after) != _launched(before):
                await self._check_launch(message.caller, after)
            if (changed := await self._records.change(after)) is not None:
                return replace(changed, unread_count=before.unread_count)

    def _with(self, before: Schedule, changes: ScheduleWish) -> Schedule:
        """A schedule with changes, and when it is due next. Refuses times that are none."""
        given = {
            name: value for name, value in asdict(changes).items() if value is not msgspec.UNSET
        }
        actor: ActorSpec | None = given.pop("actor", None)
        if actor is not None:
            given |= _chosen(actor)
            if (given["user_id"], given["end_user_id"]) != (before.user_id, before.end_user_id):
                given.setdefault("connection_overrides", None)
        after = replace(before, **given)
        check_cron(after.cron_expression, after.timezone, self._now())
        if not after.enabled:
            return replace(after, next_run_at=None)
        due = next_fire(after.cron_expression, after.timezone, self._now())
        return replace(after, next_run_at=due, disabled_reason=None)

    async def _check_launch(self, caller: Caller, schedule: Schedule) -> None:
        resolving = ResolveAgent(
            caller=caller, package=schedule.package_id, version=schedule.version_override
        )
        try:
            agent = await self._packages.ask(resolving)
            _check_files(agent)
            await self._launcher.ask(_planning(await self._actor(schedule, caller), schedule))
        except Refusal as refusal:
            if refusal.code != "model_not_configured":  # that may well be mended before it fires
                refusal.param = SPELT.get(refusal.param or "", refusal.param)
                raise

    async def _plan(self, message: PlanSchedule) -> RunPlan:
        schedule = await self._read(message.caller, message.schedule)
        acting = await self._actor(schedule, message.caller)
        plan = await self._launcher.ask(_planning(acting, schedule))
        return replace(plan, fire=ScheduledFire(schedule=schedule.id))

    async def _actor(self, schedule: Schedule, caller: Caller) -> Caller:
        if schedule.user_id == caller.user:
            return caller
        try:
            return await self._members.ask(acting_for(schedule))
        except NotFound:
            if schedule.end_user_id is not None:
                told = "the end user this schedule is for does not exist in this application"
                raise Rejected(told, param="actor.end_user_id") from None
            raise Rejected(
                "the user this schedule is for is no member of this organization",
                param="actor.user_id",
            ) from None

    async def _read(self, caller: Caller, schedule: ScheduleId) -> Schedule:
        found = await self._records.schedule(*caller.tenant, schedule)
        if found is None:
            raise _unknown()
        return (await self._counted(caller, [found]))[0]

    async def _counted(self, caller: Caller, schedules: list[Schedule]) -> list[Schedule]:
        """The schedules, each with how many of its runs the caller has not taken note of."""
        counts = await self._notifications.unread_by_schedule(
            recipient(caller), [each.id for each in schedules]
        )
        return [replace(each, unread_count=counts.get(each.id, 0)) for each in schedules]


def acting_for(schedule: Schedule) -> ActAs:
    """The question who a schedule's runs are made as."""
    return ActAs(
        user=schedule.user_id,
        end_user=schedule.end_user_id,
        org=schedule.org_id,
        application=schedule.application_id,
    )


def wish_of(schedule: Schedule) -> Wish:
    """What a schedule asks for when it launches."""
    generation = schedule.generation_config_override
    model = schedule.model_id_override
    return Wish(
        input=schedule.input,
        model=ModelId(model) if model else None,
        generation=msgspec.convert(generation or {}, Generation),
        proxy=schedule.proxy_id_override,
        connections=schedule.connection_overrides or {},
        dependencies=schedule.dependency_overrides or {},
    )


def _launched(schedule: Schedule) -> tuple[object, ...]:
    """All that a schedule says of its runs."""
    return acting_for(schedule), schedule.version_override, wish_of(schedule)


def _check_files(agent: AgentDefinition) -> None:
    properties: dict[str, Any] = (parameters(agent.manifest, "input") or {}).get("properties", {})
    files = [name for name, schema in properties.items() if is_file_field(schema)]
    if files:
        raise Rejected(
            f"this agent takes files ({', '.join(files)}), which a schedule cannot bring",
            param="input",
        )


def _planning(actor: Caller, schedule: Schedule) -> PlanRun:
    return PlanRun(
        caller=actor,
        package=schedule.package_id,
        version=schedule.version_override,
        wish=wish_of(schedule),
    )


def _chosen(actor: ActorSpec) -> dict[str, UserId | EndUserId | None]:
    user, end_user = actor.user_id, actor.end_user_id
    if (user is None) == (end_user is None):
        told = "actor must have either user_id or end_user_id: the one the schedule runs for"
        raise Rejected(told, param="actor")
    return {
        "user_id": None if user is None else UserId(user),
        "end_user_id": None if end_user is None else EndUserId(end_user),
    }


def _check_member(caller: Caller) -> None:
    if caller.end_user is not None:
        what = "schedules are kept by members: leave Appstrate-User out, and name an actor"
        raise Rejected(what, code="forbidden", param="Appstrate-User")


def _unknown() -> NotFound:
    return NotFound("there is no such schedule in this application")
