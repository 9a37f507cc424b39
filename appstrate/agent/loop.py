"""The loop: ask the model, run its calls, until it has delivered or has nothing more to do."""

import time
from dataclasses import dataclass, field
from typing import Any

from appstrate.agent.conversation import SUMMARIZE, Conversation
from appstrate.agent.models.client import Model
from appstrate.agent.models.errors import ModelError
from appstrate.agent.models.turn import Json, Tokens, Turn
from appstrate.agent.report import metric, shorten, turn_data
from appstrate.agent.settings import Settings
from appstrate.agent.sink import Sink
from appstrate.agent.toolbox import Toolbox

BEGIN = "Begin now. Do what your instructions say, with the input they give."
REPROMPT = (
    "You ended without calling the tool `output`. Deliver the result now, from the work you have "
    "done, by calling `output`."
)
CUT_OFF = "Your answer was cut off at its output limit. Go on where you stopped, in fewer words."
NUDGES = {
    0.75: "Time check: {left} seconds are left of your time. Plan anew what can be finished in "
    "that time, and leave the rest.",
    0.9: "Time check: only {left} seconds are left. Start nothing new: deliver what you have now.",
}
LONGEST_TEXT = 32 * 1024
MOST_TURNS = 500
MOST_CUT_OFF = 3


@dataclass(slots=True)
class Ending:
    """How the loop ended. Without an error the run was a success, as far as the loop can tell."""

    output: Any = None
    error: str | None = None
    tokens: Tokens = field(default_factory=Tokens)


class Loop:
    """One conversation with the model, and what it leads to."""

    def __init__(self, settings: Settings, sink: Sink, toolbox: Toolbox) -> None:
        self._settings = settings
        self._sink = sink
        self._toolbox = toolbox
        self._model = Model(settings, self._retried)
        self._conversation = Conversation(self._model.wire, settings)
        self._nudges = list(NUDGES.items()) if settings.timeout else []
        self._began = time.monotonic()
        self.tokens = Tokens()
        self.asking = 0.0

    @property
    def model_name(self) -> str:
        """The model, as people know it."""
        return self._model.name

    @property
    def output(self) -> Any:
        """What was delivered, or None."""
        return self._toolbox.data

    async def run(self) -> Ending:
        """Converse to the end. Only the last turn decides whether the run failed."""
        self._began = time.monotonic()
        self._conversation.say(BEGIN)
        try:
            error = await self._converse()
        except ModelError as failure:
            error = str(failure)
            self._sink.emit("appstrate.error", {"message": error})
        self._sink.emit("appstrate.metric", metric(self.tokens, self._settings.model_cost))
        return Ending(output=self._toolbox.data, error=error, tokens=self.tokens)

    async def _converse(self) -> str | None:
        reprompted, cut_off = False, 0
        for index in range(MOST_TURNS):
            turn = await self._turn(index)
            cut_off = cut_off + 1 if turn.stop == "length" else 0
            if turn.calls:
                results = await self._toolbox.act(turn.calls, cut=turn.stop == "length")
                if self._toolbox.delivered:
                    return None
                self._conversation.returned(results)
                self._nudge()
            elif turn.stop == "pause":
                continue
            elif turn.stop == "length" and cut_off <= MOST_CUT_OFF:
                self._go_on()
            elif self._toolbox.output is None or reprompted:
                return self._cut_off(turn)
            else:
                reprompted = True
                self._reprompt()
        return f"The agent did not end within {MOST_TURNS} turns"

    async def _turn(self, index: int) -> Turn:
        if self._settings.compaction and self._conversation.full:
            await self._compact("threshold")
        began = self.asking = time.monotonic()
        try:
            turn = await self._ask()
        except ModelError as error:
            if error.kind != "overflow" or not self._settings.compaction:
                raise
            if not await self._compact("overflow"):
                raise
            turn = await self._ask()
        finally:
            self.asking = 0.0
        self._conversation.answered(turn)
        self.tokens.add(turn.tokens)
        self._report(turn, index, int((time.monotonic() - began) * 1000))
        return turn

    async def _ask(self) -> Turn:
        return await self._model.turn(
            self._settings.prompt, self._conversation.messages, self._toolbox.tools
        )

    async def _compact(self, reason: str) -> bool:
        """Make the conversation shorter; whether that was possible.

        Notes that cannot be had are no reason to fail: the results that are kept are cut instead.
        """
        before = self._conversation.tokens
        written = Tokens()
        old = self._conversation.old()
        if reason == "overflow" and not old:
            old = self._conversation.exchanges[:-1]
        done = False
        if len(old) > 1:
            try:
                notes = await self._notes(self._conversation.transcript(old))
            except ModelError as error:
                self._sink.progress(f"the context was not compacted: {error}", level="warn")
            else:
                written = notes.tokens
                self._conversation.replace(old, notes.text)
                done = True
        if reason == "overflow" or (done and self._conversation.full):
            done = self._conversation.shorten() or done
        if done:
            self._tell_compaction(reason, before, written)
        return done

    async def _notes(self, transcript: str) -> Turn:
        turn = await self._model.turn(SUMMARIZE, self._model.wire.user(transcript), [])
        self.tokens.add(turn.tokens)
        if not turn.text.strip():
            raise ModelError("the model wrote no notes", status=400)
        return turn

    def _tell_compaction(self, reason: str, before: int, written: Tokens) -> None:
        after = self._conversation.tokens
        told = {
            "event": "compaction",
            "reason": reason,
            "tokensBefore": before,
            "estimatedTokensAfter": after,
            "inputTokens": written.input,
            "outputTokens": written.output,
        }
        self._sink.progress(f"Context compacted — {before} → {after} tokens", told, "info")
        self._sink.emit("appstrate.metric", metric(self.tokens, self._settings.model_cost))

    def _report(self, turn: Turn, index: int, latency: int) -> None:
        if turn.tokens.any:
            self._sink.emit("appstrate.metric", metric(self.tokens, self._settings.model_cost))
            data = turn_data(turn, index, latency, self._settings)
            self._sink.progress(f"turn {index}", data)
        if turn.text.strip():
            self._sink.progress(
                shorten(turn.text, LONGEST_TEXT), {"event": "assistant_message"}, "info"
            )

    def _nudge(self) -> None:
        """Remind of the time, once for each mark that has gone by; only of the last."""
        budget = self._settings.timeout
        gone = time.monotonic() - self._began
        due: tuple[float, str] | None = None
        while budget and self._nudges and gone >= self._nudges[0][0] * budget:
            due = self._nudges.pop(0)
        if budget and due is not None:
            left = max(0, int(budget - gone))
            told = {"event": "deadline_nudge", "remainingSeconds": left, "fraction": due[0]}
            self._sink.progress(f"{left} seconds left", told, "info")
            self._conversation.say(due[1].format(left=left))

    def _go_on(self) -> None:
        told = f"the answer reached the limit of {self._settings.model_max_tokens} tokens"
        self._sink.progress(told, {"event": "output_limit"}, "warn")
        self._conversation.say(CUT_OFF)

    def _cut_off(self, turn: Turn) -> str | None:
        if turn.stop != "length":
            return None
        return (
            f"{self._model.name}: the answer reached its output limit again and again. Give the "
            "model a larger max tokens, or ask for less at once."
        )

    def _reprompt(self) -> None:
        self._sink.progress("output missing", {"event": "output_reprompt"}, "warn")
        self._toolbox.reduce()
        self._conversation.say(REPROMPT)

    def _retried(self, why: str, data: Json) -> None:
        self._sink.progress(why, data, "warn")
