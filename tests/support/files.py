"""Uploading files, and playing a run that publishes some."""

import hashlib
import json
import time
from typing import Any
from uuid import uuid4

from yarl import URL

from actors.runs.signing import sign
from support.api import Answer, Api

FILE_INPUT: dict[str, Any] = {
    "input": {
        "schema": {
            "type": "object",
            "properties": {
                "report": {"type": "string", "format": "uri", "contentMediaType": "text/csv"},
                "extras": {
                    "type": "array",
                    "maxItems": 3,
                    "items": {
                        "type": "string",
                        "format": "uri",
                        "contentMediaType": "application/octet-stream",
                    },
                },
                "topic": {"type": "string"},
            },
        },
        "file_constraints": {"report": {"accept": ".csv,text/plain", "max_size": 1000}},
    }
}


async def announce(api: Api, content: bytes, **fields: Any) -> Answer:
    told = {"name": "data.csv", "size": len(content), "mime": "text/csv"} | fields
    return await api.post("/api/uploads", told)


async def send(announced: Answer, content: Any, **headers: str) -> Answer:
    """PUT the bytes as whoever was given the link."""
    url = URL(announced.json["url"], encoded=True)
    return await Api("").request(
        "PUT", url, data=content, headers=announced.json["headers"] | headers
    )


async def upload(api: Api, content: bytes, name: str = "data.csv", **fields: Any) -> str:
    announced = await announce(api, content, name=name, **fields)
    assert announced.status == 201, announced.body
    sent = await send(announced, content)
    assert sent.status == 204, sent.body
    return str(announced.json["uri"])


async def publish(
    url: str, secret: str, content: Any, name: str = "out.txt", **headers: str
) -> Answer:
    """What an agent does to publish a file; `url` is that of its run."""
    return await signed(
        "POST", f"{url}/documents", secret, content, {"X-Document-Name": name} | headers
    )


async def signed(
    method: str, url: str, secret: str, data: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """A request as a run signs it, over an empty body."""
    return await Api("").request(
        method, URL(url, encoded=True), data=data, headers=signature(secret) | (headers or {})
    )


def signature(secret: str, message: str = "") -> dict[str, str]:
    message, now = message or str(uuid4()), str(int(time.time()))
    return {
        "webhook-id": message,
        "webhook-timestamp": now,
        "webhook-signature": sign(secret, message, now, b""),
    }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def told_files(request: dict[str, Any]) -> str:
    """What a model was told, as text."""
    return json.dumps(request, ensure_ascii=False)
