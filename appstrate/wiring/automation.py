"""What happens without being asked: schedules, webhooks, retention."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from actors.retention import Retention
from actors.runs import LaunchRate
from actors.schedules import Firing, Scheduler, Schedules
from actors.webhooks import Webhooks
from adapters.local.scheduler import LocalScheduler
from adapters.local.sender import HttpSender
from adapters.postgres.notifications import PostgresNotificationRecords
from adapters.postgres.retention import PostgresRetentionRecords
from adapters.postgres.schedule_fires import PostgresFireRecords
from adapters.postgres.schedules import PostgresScheduleRecords
from adapters.postgres.webhooks import PostgresWebhookRecords
from appstrate.wiring.means import Means


class AutomationWiring:
    """Factories of the actors that act by themselves, in this process, from rows."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._at = means.at
        self._settings = means.settings
        self._fires = PostgresFireRecords(means.pool)

    def schedules(self) -> Callable[[], Schedules]:
        return partial(
            Schedules,
            PostgresScheduleRecords(self._means.pool),
            PostgresNotificationRecords(self._means.pool),
            members=self._at.members,
            packages=self._at.packages,
            launcher=self._at.launcher,
        )

    def scheduler(self) -> Callable[[], Scheduler]:
        return partial(
            LocalScheduler,
            self._fires,
            Firing(
                *(self._fires, self._at.pubsub, self._at.members),
                *(self._at.launcher, self._at.run_manager),
            ),
            LaunchRate(self._at.limiter, self._settings.limits.per_org_global_rate_per_min),
            self._means.identity.instance,
            grace=timedelta(seconds=self._settings.misfire_grace),
        )

    def webhooks(self) -> Callable[[], Webhooks]:
        return partial(
            Webhooks,
            PostgresWebhookRecords(self._means.pool),
            HttpSender(self._settings.webhook_egress),
            self._means.vault,
            self._settings.webhook_egress,
            queue=self._at.queue,
            pubsub=self._at.pubsub,
        )

    def retention(self) -> Callable[[], Retention]:
        records = PostgresRetentionRecords(self._means.pool)
        return partial(Retention, records, self._at.queue, self._settings.retention)
