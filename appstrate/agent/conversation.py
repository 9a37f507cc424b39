"""What was said so far, and how it is made shorter when the model can read no more of it.

A conversation is a list of exchanges, and is only ever cut between two of them, so that no call is
parted from its results.
"""

from dataclasses import dataclass, field, replace

from appstrate.agent.models.turn import Json, Result, Turn, Wire
from appstrate.agent.settings import Settings

LEAST_RESERVE = 16_384
LEAST_KEPT = 20_000
PICTURE_TOKENS = 1_500
CHARACTERS_PER_TOKEN = 4
TOLD_RESULT = 2_000
SHORT_RESULT = 1_000
SUMMARIZE = (
    "You write hand-over notes for an agent that works with tools and can no longer see the "
    "beginning of its own conversation. From the conversation you are given, write down what the "
    "agent needs to go on: the goal, what is done, what was found (facts, numbers, names, paths of "
    "files, exact values), decisions and why, what failed, and what is left to do next. Be "
    "complete and brief. Do not go on with the work and call no tools: write the notes only."
)
HANDED_OVER = (
    "The beginning of this conversation was replaced by these notes of what happened in it:\n\n"
    "{notes}\n\nGo on from here."
)


@dataclass(slots=True)
class Exchange:
    """A word of the user, or a turn of the model with the results of its calls.

    `sent` is how it is spelled for the provider.
    """

    sent: list[Json]
    text: str = ""
    turn: Turn | None = None
    results: list[Result] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """About how many tokens it is worth."""
        if self.turn is None:
            return len(self.text) // CHARACTERS_PER_TOKEN + 1
        pictures = sum(len(result.images) for result in self.results)
        written = len(self.turn.text) + sum(len(call.arguments) for call in self.turn.calls)
        read = sum(len(result.text) for result in self.results)
        return (written + read) // CHARACTERS_PER_TOKEN + pictures * PICTURE_TOKENS + 1

    def told(self) -> str:
        """How it reads in a transcript, where long results are cut."""
        if self.turn is None:
            return f"User: {self.text}"
        lines = [f"Agent: {self.turn.text}"] if self.turn.text else []
        lines += [f"Agent calls {c.name}: {_cut(c.arguments)}" for c in self.turn.calls]
        lines += [f"Result of {r.call.name}: {_cut(r.text)}" for r in self.results]
        return "\n".join(lines)


class Conversation:
    """The history of one run, in the provider's own form and in ours."""

    def __init__(self, wire: Wire, settings: Settings) -> None:
        self._wire = wire
        self.exchanges: list[Exchange] = []
        self._used = 0
        self._counted = 0
        self.limit = settings.model_context_window - _reserve(settings)
        kept = max(LEAST_KEPT, settings.model_context_window // 10)
        self._kept = min(kept, self.limit // 2)

    @property
    def messages(self) -> list[Json]:
        """All of it, as it is sent."""
        return [message for exchange in self.exchanges for message in exchange.sent]

    @property
    def tokens(self) -> int:
        """How much the model reads next: what it told last, and about what came after."""
        return self._used + sum(e.tokens for e in self.exchanges[self._counted :])

    @property
    def full(self) -> bool:
        """Whether it should be made shorter before the next turn."""
        return self.tokens > self.limit

    def say(self, text: str) -> None:
        """Add a word of the user."""
        self.exchanges.append(Exchange(self._wire.user(text), text))

    def answered(self, turn: Turn) -> None:
        """Add a turn of the model."""
        self.exchanges.append(Exchange(self._wire.assistant(turn), turn=turn))
        self._used, self._counted = turn.tokens.context, len(self.exchanges)

    def returned(self, results: list[Result]) -> None:
        """Add the results of the last turn's calls to it."""
        last = self.exchanges[-1]
        last.results = results
        last.sent = last.sent + self._wire.results(results)
        read = Exchange([], turn=Turn(), results=results)
        self._used += read.tokens

    def old(self) -> list[Exchange]:
        """What notes would replace: all but the last exchanges, which are kept."""
        kept = 0
        for index in range(len(self.exchanges) - 1, -1, -1):
            kept += self.exchanges[index].tokens
            if kept > self._kept:
                # The last one is kept whatever its size: what it found was not yet read.
                return self.exchanges[: min(index + 1, len(self.exchanges) - 1)]
        return []

    def transcript(self, exchanges: list[Exchange]) -> str:
        """Exchanges for somebody who writes notes: their middle is cut when they are too long."""
        text = "\n\n".join(exchange.told() for exchange in exchanges)
        most = max(2_000, self.limit * CHARACTERS_PER_TOKEN * 3 // 4)
        if len(text) <= most:
            return text
        return f"{text[: most // 3]}\n\n[…]\n\n{text[-2 * most // 3 :]}"

    def replace(self, old: list[Exchange], notes: str) -> None:
        """Put notes in the place of the oldest exchanges."""
        text = HANDED_OVER.format(notes=notes)
        self.exchanges = [Exchange(self._wire.user(text), text), *self.exchanges[len(old) :]]
        self._used = self._counted = 0

    def shorten(self) -> bool:
        """Cut the results that are kept; whether there was anything to cut."""
        cut = False
        for exchange in self.exchanges:
            if exchange.turn is None or not any(_long(r) for r in exchange.results):
                continue
            cut = True
            exchange.results = [_shortened(result) for result in exchange.results]
            exchange.sent = self._wire.assistant(exchange.turn)
            exchange.sent += self._wire.results(exchange.results)
        self._used = self._counted = 0
        return cut


def _reserve(settings: Settings) -> int:
    window, most = settings.model_context_window, settings.model_max_tokens
    reserve = most if most < window else max(LEAST_RESERVE, window // 5)
    return min(reserve, window * 4 // 5)


def _cut(text: str) -> str:
    return text if len(text) <= TOLD_RESULT else f"{text[:TOLD_RESULT]}… [{len(text)} characters]"


def _long(result: Result) -> bool:
    return len(result.text) > 2 * SHORT_RESULT or bool(result.images)


def _shortened(result: Result) -> Result:
    if not _long(result):
        return result
    text = result.text
    if len(text) > 2 * SHORT_RESULT:
        left_out = len(text) - 2 * SHORT_RESULT
        text = f"{text[:SHORT_RESULT]}\n[{left_out} characters left out]\n{text[-SHORT_RESULT:]}"
    if result.images:
        text += "\n[the picture was left out]"
    return replace(result, text=text, images=())
