"""Tries providers out, over HTTP, by the same rules as the model proxy."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from actors.documents import as_list, as_object
from actors.egress import Egress
from actors.models import ModelAccess, Trial
from actors.runtime import Refusal
from appstrate.sidecar.proxy import GuardedResolver

SECONDS = 20.0
MOST_BYTES = 8 * 1024 * 1024
MESSAGE = 300
ANTHROPIC_VERSION = "2023-06-01"

# What a status means to whoever has just typed in a key.
MEANINGS = {
    401: ("auth_failed", "the provider does not accept this key"),
    403: ("auth_failed", "the provider does not allow this key to do that"),
    404: ("not_found", "the provider has nothing there: check the base URL and the model's id"),
    429: ("rate_limited", "the provider limits this key: wait, or check its quota"),
}


class HttpModelProbe:
    """`ModelProbe` with one connection per trial; a trial is rare."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def list_models(self, access: ModelAccess) -> tuple[Trial, list[str]]:
        trial, answer = await self._try(access, "GET", "/models", None)
        entries = as_object(answer).get("data")
        if trial.ok and not isinstance(entries, list):
            why = "the answer is no list of models: is this the base URL of a model API?"
            return _failed(trial.latency, "invalid_response", why, trial.status), []
        ids = [as_object(each).get("id") for each in as_list(entries)]
        return trial, [each for each in ids if isinstance(each, str)]

    async def complete(self, access: ModelAccess, model: str) -> Trial:
        body: dict[str, Any] = {"model": model}
        asked = [{"role": "user", "content": "Answer with: ok"}]
        match access.api_shape:
            case "anthropic-messages":
                path, body = "/messages", body | {"max_tokens": 16, "messages": asked}
            case "openai-responses":
                path, body = "/responses", body | {"input": asked}
            case _:
                path, body = "/chat/completions", body | {"messages": asked}
        trial, answer = await self._try(access, "POST", path, body)
        if trial.ok and not {"choices", "content", "output"} & as_object(answer).keys():
            why = "the answer is none of a model: is this the base URL of a model API?"
            return _failed(trial.latency, "invalid_response", why, trial.status)
        return trial

    async def _try(
        self, access: ModelAccess, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[Trial, Any]:
        began = time.monotonic()
        try:
            async with self._answer(access, method, path, body) as answered:
                content = await answered.content.read(MOST_BYTES)
                while len(content) < MOST_BYTES and (
                    more := await answered.content.read(MOST_BYTES)
                ):
                    content += more
                status = answered.status
        except Refusal as refusal:
            return _failed(_since(began), refusal.code, refusal.detail), None
        except TimeoutError:
            why = f"the provider did not answer within {SECONDS:g} seconds"
            return _failed(_since(began), "timeout", why), None
        except (aiohttp.ClientError, OSError) as error:
            why = f"the provider cannot be reached: {str(error) or type(error).__name__}"
            return _failed(_since(began), "unreachable", why[:MESSAGE]), None
        return _judged(_since(began), status, content, access.api_key)

    @asynccontextmanager
    async def _answer(
        self, access: ModelAccess, method: str, path: str, body: dict[str, Any] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        anthropic = access.api_shape == "anthropic-messages"
        url = access.base_url + ("/v1" if anthropic else "") + path
        self._egress.check_url(url, "baseUrl")
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(self._egress))
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(
                method, url, json=body, headers=_headers(access), allow_redirects=False
            ) as answered,
        ):
            yield answered


def _headers(access: ModelAccess) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if access.api_shape == "anthropic-messages":
        headers["anthropic-version"] = ANTHROPIC_VERSION
        if access.api_key:
            headers["x-api-key"] = access.api_key
    elif access.api_key:
        headers["Authorization"] = f"Bearer {access.api_key}"
    return headers


def _judged(latency: int, status: int, content: bytes, key: str) -> tuple[Trial, Any]:
    try:
        answer = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if 200 <= status < 300 and answer is not None:
        return Trial(ok=True, latency=latency, status=status), answer
    if 200 <= status < 300:
        why = "the answer is no JSON: is this the base URL of a model API?"
        return _failed(latency, "invalid_response", why, status), None
    error, why = MEANINGS.get(status, ("provider_error", f"the provider answered {status}"))
    told = _message(answer)
    if told:
        # Providers like to repeat the key they refuse.
        told = told.replace(key, "…") if key else told
        why = f"{why} ({told[:MESSAGE]})"
    return _failed(latency, error, why, status), None


def _message(answer: Any) -> str:
    error = as_object(answer).get("error")
    message = error if isinstance(error, str) else as_object(error).get("message")
    return message if isinstance(message, str) else ""


def _failed(latency: int, error: str, message: str, status: int | None = None) -> Trial:
    return Trial(ok=False, latency=latency, error=error, message=message, status=status)


def _since(began: float) -> int:
    return round(1000 * (time.monotonic() - began))
