"""From the symptoms of a run to its cause and what to do about it. Pure: the first rule that fits.

A rule speaks to whoever runs the agent: what happened in one sentence, then what to do.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from actors.runs.evidence import ModelCall
from actors.sidecar_pool import Exit

QUOTA = re.compile(r"quota|billing|credit|insufficient|payment|balance", re.IGNORECASE)
TOO_LONG = re.compile(
    r"context.{0,20}(length|window)|too (long|many tokens)|maximum context|prompt is too",
    re.IGNORECASE,
)
DISK_FULL = re.compile(r"no space left|disk (is )?full|ENOSPC|quota exceeded", re.IGNORECASE)
OUT_OF_MEMORY = re.compile(r"MemoryError|cannot allocate memory|out of memory", re.IGNORECASE)
SERVER_GONE = re.compile(r"^(server restarted|the server was stopped)", re.IGNORECASE)
STALLED = re.compile(r"stopped reporting|no heartbeat|never started executing", re.IGNORECASE)
NOT_STARTED = re.compile(r"could not (start|be (started|executed))", re.IGNORECASE)
NO_ANSWER = re.compile(r"the model API (answered with a web page|sent (garbage|something))")
ANSWERED = re.compile(r"the model API answered (\d{3})")


class Symptoms(msgspec.Struct, frozen=True, kw_only=True):
    """What a diagnosis is made of. `events` are the names of the telling lines of the log.

    `unlaunched` is the failed run of a schedule whose launch was refused.
    """

    status: str
    error: str
    phase: str
    calls: list[ModelCall]
    exit: Exit | None
    events: set[str]
    model: str
    unlaunched: bool = False

    @property
    def last(self) -> ModelCall | None:
        """The last model call, if there was any."""
        return self.calls[-1] if self.calls else None

    @property
    def refused(self) -> int | None:
        """The status with which the model's API refused the last call; 0 when it was no answer."""
        if self.status != "failed":
            return None
        if self.last is not None:
            whole = self.last.awaited or not self.last.failed
            return None if whole else self.last.status or 0
        found = ANSWERED.search(self.error)
        return int(found[1]) if found else None

    @property
    def said(self) -> str:
        """Everything that was said about the failure."""
        tail = "\n".join(self.exit.tail) if self.exit else ""
        return "\n".join((self.error, (self.last and self.last.error) or "", tail))


class Diagnosis(NamedTuple):
    """The cause as a word, what happened, and what to do."""

    cause: str
    summary: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rule:
    """When it fits, `{model}` and `{error}` in its sentences are filled in."""

    cause: str
    fits: Callable[[Symptoms], bool]
    summary: str
    remedy: str


def diagnose(symptoms: Symptoms) -> Diagnosis:
    """The cause of what happened to a run, and the remedy."""
    rule = next(rule for rule in RULES if rule.fits(symptoms))
    error = symptoms.error.split("\n", 1)[0] or "it left no message"
    values = {"model": symptoms.model, "error": error}
    return Diagnosis(rule.cause, rule.summary.format_map(values), rule.remedy.format_map(values))


def _status(name: str) -> Callable[[Symptoms], bool]:
    return lambda s: s.status == name


def _refused(*statuses: int) -> Callable[[Symptoms], bool]:
    return lambda s: s.refused in statuses


def _says(pattern: re.Pattern[str]) -> Callable[[Symptoms], bool]:
    return lambda s: pattern.search(s.said) is not None


def _both(
    one: Callable[[Symptoms], bool], other: Callable[[Symptoms], bool]
) -> Callable[[Symptoms], bool]:
    return lambda s: one(s) and other(s)


def _ran_out_of_memory(s: Symptoms) -> bool:
    if s.exit is None:
        return False
    return s.exit.out_of_memory or (s.exit.code != 0 and _says(OUT_OF_MEMORY)(s))


def _waits_for_model(s: Symptoms) -> bool:
    return s.status == "timeout" and s.last is not None and s.last.awaited


def _has_no_output(s: Symptoms) -> bool:
    return "output_validation" in s.events and "without calling the output tool" in s.error


def _died_early(s: Symptoms) -> bool:
    early = s.phase in ("created", "waiting", "slot", "started")
    return s.exit is not None and s.exit.code not in (0, None) and early


def _was_killed(s: Symptoms) -> bool:
    return s.exit is not None and s.exit.signal is not None


def _crashed(s: Symptoms) -> bool:
    return s.exit is not None and s.exit.code not in (0, None)


RULES: Sequence[Rule] = (
    Rule(
        "waiting",
        _status("pending"),
        "The run has not started yet.",
        "It starts when a place is free: see what else runs with `appstrate runs list`. If nothing "
        "does, look at the server's log.",
    ),
    Rule(
        "running",
        _status("running"),
        "The run is under way.",
        "Watch it with `appstrate logs -f`, or end it with `appstrate runs cancel`, by its id.",
    ),
    Rule("succeeded", _status("success"), "The run succeeded.", "Nothing is to be done."),
    Rule(
        "cancelled",
        _status("cancelled"),
        "Somebody cancelled the run.",
        "Run the agent again if that was a mistake.",
    ),
    Rule(
        "timeout_waiting_for_model",
        _waits_for_model,
        "The time was up while {model} had not answered.",
        "Check that the model's provider is up, choose a quicker model, or raise `timeout` in the "
        "agent's manifest (its ceiling is PLATFORM_RUN_LIMITS).",
    ),
    Rule(
        "timeout",
        _status("timeout"),
        "The run used up its time.",
        "Raise `timeout` in the agent's manifest (its ceiling is PLATFORM_RUN_LIMITS), choose a "
        "quicker model, or give the agent less to do at once.",
    ),
    Rule(
        "launch_refused",
        lambda s: s.unlaunched,
        "The schedule was due, but could not launch its run: {error}",
        "Mend what it says: in the agent, its model, or the schedule (`appstrate schedules edit`). "
        "`appstrate schedules run` tries it at once, `appstrate schedules pause` ends that.",
    ),
    Rule(
        "out_of_memory",
        _ran_out_of_memory,
        "The agent's program used more memory than there is for it.",
        "Have the agent read and keep less at once, or raise agent_memory_ceiling_mb in "
        "PLATFORM_RUN_LIMITS; fewer runs at once leave more for each.",
    ),
    Rule(
        "server_stopped",
        lambda s: SERVER_GONE.search(s.error) is not None,
        "The server ended while the run was under way.",
        "Run the agent again. If nobody stopped the server, its log says why it ended.",
    ),
    Rule(
        "credential_refused",
        _refused(401, 403),
        "The provider of {model} refused the credential.",
        "Check the key of the model's credential at its provider, and that it may use this model; "
        "then give it to the credential anew and test the model.",
    ),
    Rule(
        "model_unknown",
        _refused(404),
        "The provider does not know {model}, or there is no such path.",
        "Check the model's id for typing errors and whether this account may use it; for a server "
        "of your own, check the credential's base URL, which often ends in /v1.",
    ),
    Rule(
        "quota_exhausted",
        lambda s: s.refused == 402 or (s.refused in (403, 429) and bool(QUOTA.search(s.said))),
        "The account at the provider of {model} has used up its credit.",
        "Add credit or raise the limit at the provider, or choose a model of another one.",
    ),
    Rule(
        "rate_limited",
        _refused(429),
        "The provider of {model} answers only so many requests, and went on refusing.",
        "Wait and run again, have fewer runs at once (MAX_CONCURRENT_RUNS), ask the provider for a "
        "higher limit, or choose another model.",
    ),
    Rule(
        "context_too_long",
        _both(_refused(400, 413, 422), _says(TOO_LONG)),
        "What the agent had gathered does not fit the context of {model}.",
        "Choose a model with a larger context, set the model's contextWindow to what it really "
        "has, or have the agent read less at once.",
    ),
    Rule(
        "request_refused",
        _refused(400, 405, 413, 415, 422),
        "The provider of {model} refused the request: {error}",
        "Compare the model's settings (maxTokens, input, reasoning, generation) with what the "
        "provider says about this model.",
    ),
    Rule(
        "provider_unreachable",
        _refused(502),
        "The provider of {model} could not be reached.",
        "Check the credential's base URL, this machine's network, and for private addresses "
        "EGRESS_ALLOW_INTERNAL_HOSTS; then test the model.",
    ),
    Rule(
        "provider_failing",
        lambda s: s.refused is not None and s.refused >= 500,
        "The provider of {model} failed, and went on failing when asked again.",
        "Look at the provider's status page, wait and run again, or choose another model.",
    ),
    Rule(
        "answer_broken",
        lambda s: s.refused is not None or (s.status == "failed" and _says(NO_ANSWER)(s)),
        "The answer of {model} broke off or was no answer.",
        "Run again; if that happens always, check that the credential's base URL leads to an API "
        "of the kind the model's provider has.",
    ),
    Rule(
        "output_missing",
        _has_no_output,
        "The agent ended without delivering the output its manifest declares.",
        "Tell it in its prompt to call the output tool last, make the output schema simpler, or "
        "choose a model that is better with tools.",
    ),
    Rule(
        "output_invalid",
        lambda s: "output_validation" in s.events,
        "The agent's output does not fit its schema. {error}",
        "Say in the prompt what the fields mean, make the schema simpler, or choose a model that "
        "is better with tools.",
    ),
    Rule(
        "no_tokens",
        lambda s: "no tokens at all" in s.error,
        "The run ended without an answer of {model}.",
        "Check the model's base URL and key, and test the model.",
    ),
    Rule(
        "disk_full",
        _says(DISK_FULL),
        "There was no room left on the disk.",
        "Make room where DATA_DIR lies, or have the agent write less.",
    ),
    Rule(
        "stalled",
        lambda s: STALLED.search(s.error) is not None,
        "The run gave no sign of life any more.",
        "Run again. If it happens often, the machine may have too much to do: lower "
        "MAX_CONCURRENT_RUNS. Of a run executed elsewhere, look at that machine.",
    ),
    Rule(
        "not_started",
        lambda s: NOT_STARTED.search(s.error) is not None,
        "The agent's program could not be started.",
        "See with `appstrate doctor` what this machine lacks: memory, processes, open files or "
        "room on its disk.",
    ),
    Rule(
        "boot_failed",
        _died_early,
        "The agent's program ended before it had begun its work.",
        "Its last lines say why. If they speak of a missing file or module, install the server "
        "anew; if they say that the platform cannot be reached, check PLATFORM_API_URL.",
    ),
    Rule(
        "killed",
        _was_killed,
        "Something ended the agent's program by force.",
        "If nobody did so on purpose, the machine may have run out of memory: its system log says "
        "so. Fewer runs at once help (MAX_CONCURRENT_RUNS).",
    ),
    Rule(
        "crashed",
        _crashed,
        "The agent's program broke.",
        "Its last lines say where. Run again; if it happens always, report it with them.",
    ),
    Rule(
        "agent_failed",
        lambda s: bool(s.error),
        "The run failed: {error}",
        "The log has what led to it: `appstrate logs -v` with this run's id.",
    ),
    Rule(
        "unexplained",
        lambda _: True,
        "Nothing is known about why the run failed.",
        "The log of the run and the server's log may have more.",
    ),
)
