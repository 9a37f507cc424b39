"""Webhooks that a receiver of ours listens to."""

from typing import Any

from support.api import Api, Json
from support.receiver import Receiver
from support.waiting import until

ALL = ["run.started", "run.success", "run.failed", "run.timeout", "run.cancelled"]
ENDS = ALL[1:]


async def hook(api: Api, receiver: Receiver, **fields: Any) -> Json:
    """Make a webhook of an organization that is told how runs end."""
    body: Json = {"level": "org", "url": f"{receiver.url}/hook", "events": ENDS} | fields
    made = await api.post("/api/webhooks", body)
    assert made.status == 201, made.body
    return dict(made.json)


async def deliveries(api: Api, webhook: str, count: int) -> list[Json]:
    """The deliveries of a webhook, once there are so many."""
    found: list[Json] = []

    async def enough() -> bool:
        found[:] = (await api.get(f"/api/webhooks/{webhook}/deliveries")).json["data"]
        return len(found) >= count

    await until(enough)
    return found
