"""What the server counts about itself, in the text format of Prometheus."""

import asyncio
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from actors.runtime import Address
from actors.runtime.address import State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LAG_INTERVAL = 0.5
LAG_SAMPLES = 30
Labels: TypeAlias = Mapping[str, str]
Sample: TypeAlias = tuple[Labels, float]

# Name, kind, what it is, and the field of an actor's Metrics.
OF_ACTORS = (
    ("mailbox_depth", "gauge", "Messages that wait.", "waiting"),
    ("mailbox_high_water", "gauge", "The most messages that ever waited.", "high_water"),
    ("messages_served_total", "counter", "Messages that were served.", "served"),
    ("messages_refused_total", "counter", "Messages that were answered with a refusal.", "refused"),
    ("messages_failed_total", "counter", "Messages whose handling broke.", "failed"),
    ("messages_rejected_total", "counter", "Messages a full mailbox did not take.", "rejected"),
    ("messages_expired_total", "counter", "Messages whose asker gave up before.", "expired"),
    ("dead_letters_total", "counter", "Messages nobody will serve.", "dead_letters"),
    ("restarts_total", "counter", "Restarts after a crash.", "restarts"),
    ("wait_seconds_total", "counter", "Time messages have waited.", "wait_seconds"),
    ("handle_seconds_total", "counter", "Time messages were handled.", "serve_seconds"),
)


class RequestCounts:
    """Requests by method, route and status, and how long those of a route took."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str, int]] = Counter()
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def add(self, request: web.Request, status: int, seconds: float) -> None:
        """Count a request under its route; its path may hold anything."""
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        method = request.method if resource is not None else "any"
        self.answers[method, route, status] += 1
        self.seconds[method, route] += seconds

    def families(self) -> Iterator[str]:
        answers = (
            ({"method": method, "route": route, "status": str(status)}, found)
            for (method, route, status), found in self.answers.items()
        )
        yield family("http_requests_total", "counter", "Requests answered.", answers)
        seconds = (({"method": m, "route": r}, s) for (m, r), s in self.seconds.items())
        yield family("http_request_seconds_total", "counter", "Time requests took.", seconds)


REQUESTS: web.AppKey[RequestCounts] = web.AppKey("requests", RequestCounts)


class LoopLag:
    """How late the event loop is: the most of the last quarter of a minute, in seconds."""

    def __init__(self) -> None:
        self._late: deque[float] = deque([0.0], maxlen=LAG_SAMPLES)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def most(self) -> float:
        return max(self._late)

    def family(self) -> str:
        """The lag as a metric."""
        told = "How late the event loop was, at most, in the last 15 s."
        return family("event_loop_lag_seconds", "gauge", told, [({}, self.most)])

    def start(self) -> None:
        """Begin to measure."""
        loop = asyncio.get_running_loop()
        due = loop.time() + LAG_INTERVAL
        self._timer = loop.call_at(due, self._tick, due)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, due: float) -> None:
        self._late.append(max(0.0, asyncio.get_running_loop().time() - due))
        self.start()


def actor_families(addresses: Iterable[Address[Any]]) -> Iterator[str]:
    """The metrics of every actor."""
    known = list(addresses)
    for name, kind, told, attribute in OF_ACTORS:
        found = (({"actor": a.name}, getattr(a.metrics, attribute)) for a in known)
        yield family(f"actor_{name}", kind, told, found)
    up = (({"actor": a.name}, float(a.state is State.RUNNING)) for a in known)
    yield family("actor_up", "gauge", "Whether it runs.", up)


def process_families(began: float) -> Iterator[str]:
    """Memory, processor time and files of this process."""
    used = os.times()
    none: Labels = {}
    pairs = [
        ("process_cpu_seconds_total", "counter", "Processor time.", used.user + used.system),
        ("process_start_time_seconds", "gauge", "When it started, Unix time.", began),
    ]
    if (memory := resident_bytes()) is not None:
        pairs.append(("process_resident_memory_bytes", "gauge", "Resident memory.", memory))
    if (files := _open_files()) is not None:
        pairs.append(("process_open_fds", "gauge", "Open files.", files))
    for name, kind, told, value in pairs:
        yield family(name, kind, told, [(none, value)], prefix="")


def family(
    name: str, kind: str, told: str, samples: Iterable[Sample], *, prefix: str = "appstrate_"
) -> str:
    """One metric with all its samples."""
    lines = [f"# HELP {prefix}{name} {told}", f"# TYPE {prefix}{name} {kind}"]
    for labels, value in samples:
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{prefix}{name}{{{pairs}}} {value}" if pairs else f"{prefix}{name} {value}")
    return "\n".join(lines) + "\n"


def resident_bytes() -> int | None:
    """The memory of this process; None where it cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
    except OSError:
        return None


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
