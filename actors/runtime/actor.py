"""Pykka's actor model on asyncio: the three seams filled, and one rule for every failure."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import pykka
import structlog

from actors.runtime.context import Context, current_context
from actors.runtime.errors import ActorCrashed, HandlerError, Refusal, Unavailable
from actors.runtime.inbox import Channel, Envelope, Inbox, Lane, Reply
from actors.runtime.message import Ping, Request
from actors.runtime.metrics import Metrics

log = structlog.get_logger("actors")

KILL_GRACE = 2.0
"""Seconds an actor may take to end once it was cancelled."""


class Actor(pykka.Actor):
    """One mailbox, one `receive`, one life.

    Without `lanes` an actor is *serial*: one message at a time, so that its state needs no lock.
    With lanes it serves each lane's messages concurrently, up to the lane's width; such an actor
    is a client of something else and keeps no state that two messages could tear.

    What happens when `receive` raises:

    - a `Refusal` is an answer. Told instead of asked, it is logged;
    - any other exception kills a serial actor: the asker gets `ActorCrashed`, messages that wait
      get `Unavailable` (nothing was done for them), and the supervisor makes a new incarnation;
    - in a lane it fails that message alone, with `HandlerError`;
    - a failed `tell` counts as a crash everywhere, for nobody else would ever know of it;
    - an owned task that fails counts as a crash.

    An asker that gives up, by cancellation or deadline, cancels the handling of its message.
    """

    lanes: ClassVar[tuple[Lane, ...]] = ()
    _inbox: Inbox

    def __init__(self) -> None:
        super().__init__()
        inbox = self.actor_inbox
        assert isinstance(inbox, Inbox)
        self.inbox = inbox
        self.name = inbox.owner = type(self).__name__
        self.ready: Reply[None] = Reply()
        self.exit: BaseException | None = None
        self._is_open = False
        self._finale: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owned: set[asyncio.Task[Any]] = set()
        self._stop_askers: list[Reply[Any]] = []
        lanes = self.lanes or (Lane("serial", 1),)
        inbox.connect(lanes, self._serve_waiting, self._begin_stop)

    # The three seams, and the launch that Pykka's own `start` would do.

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    @staticmethod
    def _create_future() -> Reply[Any]:
        return Reply()

    def _start_actor_loop(self) -> None:
        loop = asyncio.get_running_loop()
        self._life = loop.create_task(
            self._run_life(), name=self.name, context=contextvars.Context()
        )

    def launch(self, name: str | None = None, metrics: Metrics | None = None) -> None:
        """Begin to live. `ready` settles when `started` has returned or failed."""
        if name is not None:
            self.name = self.inbox.owner = name
        if metrics is not None:
            metrics.waiting += self.inbox.metrics.waiting
            self.inbox.metrics = metrics
        pykka.ActorRegistry.register(self.actor_ref)
        self._start_actor_loop()

    # What an actor's author writes.

    async def started(self) -> None:
        """Open what the actor needs. It serves nothing before this returns."""

    async def stopped(self) -> None:
        """Close it again. Runs once after the last message, also when `started` failed midway."""

    async def receive(self, message: Any) -> Any:
        """Answer one message: a `match` over the port's messages."""
        raise NotImplementedError

    def own(self, work: Coroutine[Any, Any, None], name: str = "work") -> asyncio.Task[None]:
        """Run `work` beside the mailbox until the actor ends. Its failure is the actor's crash."""
        context = contextvars.Context()
        context.run(current_context.set, replace(current_context.get(), deadline=None))
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=f"{self.name}.{name}", context=context)
        self._owned.add(task)
        task.add_done_callback(self._owned_ended)
        return task

    def finish(self) -> None:
        """End once what waits has been served: for actors whose work comes to an end."""
        self._begin_stop(None)

    # Life.

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Call back once this incarnation is over; `exit` then holds its cause, None if asked."""
        self._life.add_done_callback(lambda _: callback())

    async def retire(self, within: float) -> None:
        """Serve what waits, for at most `within` seconds, then end. Idempotent, never raises.

        An actor that is still starting is interrupted at once, and closes what it has opened.
        """
        starting = not self._is_open and not self.inbox.closed
        if starting:
            self._life.cancel()
        self._begin_stop(None)
        await asyncio.wait({self._life}, timeout=max(within, KILL_GRACE) if starting else within)
        if not self._life.done() and not starting:  # to cancel twice would cut `stopped` short
            log.warning("actor did not stop in time", actor=self.name, within=round(within, 3))
            self._life.cancel()
            await asyncio.wait({self._life}, timeout=KILL_GRACE)

    async def _run_life(self) -> None:
        current_context.set(Context(actor=self.name))
        try:
            await self.started()
            if not self._finale.done():  # else it has crashed on its way here
                self._begin_serving()
            await self._finale
        except asyncio.CancelledError:
            self.exit = None if self._is_open else Unavailable(f"{self.name} was stopped")
        except BaseException as error:  # noqa: BLE001 - whatever ends an actor is its exit
            self.exit = error
        finally:
            await self._close()

    def _begin_serving(self) -> None:
        self._is_open = True
        self.ready.set(None)
        for channel in self.inbox.channels:
            self._serve_waiting(channel)
        self._end_if_drained()

    async def _close(self) -> None:
        self.inbox.closed = True
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.actor_ref)
        tasks = [*self._owned, *(t for c in self.inbox.channels for t in c.serving)]
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=KILL_GRACE)
            await self.stopped()
        except Exception:
            log.exception("actor failed to stop cleanly", actor=self.name)
        finally:
            self._answer_everybody()

    def _answer_everybody(self) -> None:
        while not self.inbox.empty():
            self.inbox.metrics.dead_letters += 1
            ended = Unavailable(f"{self.name} ended before it served this", retry_after=1)
            self.inbox.get().fail(ended)
        if not self._is_open:
            self.ready.fail(self.exit or Unavailable(f"{self.name} was stopped"))
        for asker in self._stop_askers:
            asker.set(None)
        self._finale.cancel()

    def _begin_stop(self, asker: Reply[Any] | None) -> None:
        if asker is not None:
            self._stop_askers.append(asker)
            if self.actor_stopped.is_set():
                asker.set(None)
        self.inbox.closed = True
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        if self._is_open and self.inbox.closed and self.inbox.idle and not self._finale.done():
            self._finale.set_result(None)

    def _crash(self, error: BaseException) -> None:
        if not self._finale.done():
            self.inbox.closed = True
            self._finale.set_exception(error)

    def _owned_ended(self, task: asyncio.Task[Any]) -> None:
        self._owned.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash(error)

    # Serving.

    def _serve_waiting(self, channel: Channel) -> None:
        metrics = self.inbox.metrics
        while self._is_open and channel.waiting and channel.free and not self._finale.done():
            envelope = channel.waiting.popleft()
            metrics.waiting -= 1
            if envelope.unwanted:
                metrics.expired += 1
                continue
            loop = asyncio.get_running_loop()
            envelope.served_at = loop.time()
            metrics.wait_seconds += envelope.served_at - envelope.put_at
            task = loop.create_task(self._serve(envelope), context=self._context(envelope))
            envelope.task = task
            channel.serving[task] = envelope
            # In the callback, not in the task: one cancelled before its first step runs no code.
            task.add_done_callback(partial(self._settle, channel, envelope))

    def _context(self, envelope: Envelope) -> contextvars.Context:
        kind: type[Any] = envelope.message.__class__
        deadline = envelope.context.deadline
        if issubclass(kind, Request) and kind.streaming:
            deadline = None
            if envelope.clock is not None:
                envelope.clock.reschedule(None)
        context = contextvars.Context()
        serving = replace(
            envelope.context,
            deadline=deadline,
            actor=self.name,
            message=kind.__name__,
            run=getattr(envelope.message, "run", None) or envelope.context.run,
        )
        context.run(current_context.set, serving)
        return context

    async def _serve(self, envelope: Envelope) -> Any:
        if isinstance(envelope.message, Ping):
            return None
        return await self.receive(envelope.message)

    def _settle(self, channel: Channel, envelope: Envelope, task: asyncio.Task[Any]) -> None:
        del channel.serving[task]
        metrics = self.inbox.metrics
        metrics.served += 1
        metrics.serve_seconds += asyncio.get_running_loop().time() - envelope.served_at
        if task.cancelled():
            envelope.fail(self._crashed(None))
        elif (error := task.exception()) is None:
            if envelope.asker is not None:
                envelope.asker.set(task.result())
        elif isinstance(error, Refusal):
            self._refused(envelope, error)
        else:
            self._failed(envelope, error)
        self._serve_waiting(channel)
        self._end_if_drained()

    def _refused(self, envelope: Envelope, refusal: Refusal) -> None:
        self.inbox.metrics.refused += 1
        if envelope.asker is None:
            name = type(envelope.message).__name__
            log.warning("told message refused", actor=self.name, message=name, why=refusal.detail)
        envelope.fail(refusal)

    def _failed(self, envelope: Envelope, error: BaseException) -> None:
        self.inbox.metrics.failed += 1
        name = type(envelope.message).__name__
        log.error("handler failed", actor=self.name, message=name, exc_info=error)
        if self.lanes and envelope.asker is not None:
            failure = HandlerError(f"{self.name} failed while serving {name}")
            failure.__cause__ = error
            envelope.fail(failure)
        else:
            envelope.fail(self._crashed(error))
            self._crash(error)

    def _crashed(self, cause: BaseException | None) -> ActorCrashed:
        crashed = ActorCrashed(f"{self.name} ended while serving this")
        crashed.__cause__ = cause
        return crashed
