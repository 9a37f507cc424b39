"""Schedules: when agents run by themselves.

Two ports: Schedules keeps them for people, Scheduler fires them. Every due time of an enabled
schedule becomes one row, which is fired, skipped or refused; what becomes a run does so once,
because the row and the run are written in one transaction.
"""

from actors.schedules.cron import preview as preview
from actors.schedules.expansion import expand_due as expand_due
from actors.schedules.expansion import expanding as expanding
from actors.schedules.fire_records import DueFire as DueFire
from actors.schedules.fire_records import Expand as Expand
from actors.schedules.fire_records import Expansion as Expansion
from actors.schedules.fire_records import FireRecords as FireRecords
from actors.schedules.firing import ACTOR_GONE as ACTOR_GONE
from actors.schedules.firing import Firing as Firing
from actors.schedules.line import Line as Line
from actors.schedules.records import Fire as Fire
from actors.schedules.records import Schedule as Schedule
from actors.schedules.records import ScheduleRecords as ScheduleRecords
from actors.schedules.rules import MISSED as MISSED
from actors.schedules.rules import OVERLAPS as OVERLAPS
from actors.schedules.rules import MisfirePolicy as MisfirePolicy
from actors.schedules.rules import OverlapPolicy as OverlapPolicy
from actors.schedules.scheduler import LookAgain as LookAgain
from actors.schedules.scheduler import Scheduler as Scheduler
from actors.schedules.schedules import ChangeSchedule as ChangeSchedule
from actors.schedules.schedules import CreateSchedule as CreateSchedule
from actors.schedules.schedules import DeleteSchedule as DeleteSchedule
from actors.schedules.schedules import ListFires as ListFires
from actors.schedules.schedules import ListSchedules as ListSchedules
from actors.schedules.schedules import PlanSchedule as PlanSchedule
from actors.schedules.schedules import PreviewSchedule as PreviewSchedule
from actors.schedules.schedules import ReadSchedule as ReadSchedule
from actors.schedules.schedules import ScheduleChanges as ScheduleChanges
from actors.schedules.schedules import Schedules as Schedules
from actors.schedules.schedules import ScheduleSpec as ScheduleSpec
