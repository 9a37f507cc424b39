"""Agents that come with their launch, and what bounds them. Pure."""

from collections.abc import Callable, Sequence
from typing import Annotated
from uuid import uuid4

import msgspec

from actors.ids import PackageId
from actors.packages import Manifest
from actors.packages.manifest import dependencies, manifest_problems
from actors.runs.wish import Wish
from actors.runtime import FieldProblem, Refusal, Rejected

SCOPE = "@inline"
NAMELESS: Manifest = {
    "version": "0.0.0",
    "type": "agent",
    "schema_version": "0.1",
    "display_name": "Inline agent",
}
RESERVED = "_context_documents"


class InlineLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on inline runs (`INLINE_RUN_LIMITS`): per minute, bytes, counts and days."""

    rate_per_min: Annotated[int, msgspec.Meta(ge=1)] = 60
    manifest_bytes: Annotated[int, msgspec.Meta(ge=1)] = 65_536
    prompt_bytes: Annotated[int, msgspec.Meta(ge=1)] = 200_000
    max_skills: Annotated[int, msgspec.Meta(ge=0)] = 20
    retention_days: Annotated[int, msgspec.Meta(ge=1)] = 30


class InlineLaunch(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that is no package, what its run is launched with, and documents to be read."""

    manifest: Manifest
    prompt: str
    wish: Wish = Wish()
    documents: list[str] = msgspec.field(default_factory=list[str])


def new_inline_name() -> PackageId:
    """`@inline/r-` and a UUID: what an agent is called that is no package."""
    return PackageId(f"{SCOPE}/r-{uuid4()}")


def as_agent(given: Manifest, name: PackageId) -> Manifest:
    """The manifest an inline agent runs with: what says who it is need not be given."""
    return NAMELESS | given | {"name": name}


def inline_problems(launch: InlineLaunch, limits: InlineLimits) -> list[FieldProblem]:
    """Everything for which an inline launch is refused that can be seen by itself."""
    given, prompt = launch.manifest, launch.prompt
    problems: list[FieldProblem] = []
    size = len(msgspec.json.encode(given))
    if size > limits.manifest_bytes:
        problems.append(_too_large("manifest", size, limits.manifest_bytes))
    length = len(prompt.encode())
    if length > limits.prompt_bytes:
        problems.append(_too_large("prompt", length, limits.prompt_bytes))
    if not prompt.strip():
        problems.append(FieldProblem(field="prompt", code="empty_prompt", message="is empty"))
    manifest = as_agent(given, PackageId(f"{SCOPE}/r-0"))
    problems += [
        msgspec.structs.replace(problem, field=f"manifest.{problem.field}".rstrip("."))
        for problem in manifest_problems(manifest)
    ]
    if manifest["type"] != "agent":
        problems.append(_problem("manifest.type", "invalid_value", "must be agent"))
    skills = len(dependencies(manifest, "skills"))
    if skills > limits.max_skills:
        message = f"are {skills}, above the limit of {limits.max_skills}"
        problems.append(_problem("manifest.dependencies.skills", "out_of_range", message))
    if RESERVED in (launch.wish.input or {}):
        message = "is the platform's own: use context_documents"
        problems.append(_problem(f"input.{RESERVED}", "invalid_input", message))
    return problems


def check_inline(launch: InlineLaunch, limits: InlineLimits) -> None:
    """Refuse an inline launch that cannot be, with every problem."""
    problems = inline_problems(launch, limits)
    if not problems:
        return
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise Rejected(
        f"{first.field} {first.message}{more}",
        code=_code_of(problems),
        param=first.field,
        problems=problems,
    )


def _code_of(problems: Sequence[FieldProblem]) -> str:
    if all(problem.code == "empty_prompt" for problem in problems):
        return "empty_prompt"
    if any(problem.field.startswith(("manifest", "prompt")) for problem in problems):
        return "invalid_inline_manifest"
    return "validation_failed"


def refusal_of(check: Callable[[], object]) -> Refusal | None:
    """The refusal of a check, if it refuses."""
    try:
        check()
    except Refusal as refusal:
        return refusal
    return None


def gathered(refusals: Sequence[Refusal]) -> Rejected:
    """Several refusals as one, with every problem of each."""
    problems = [problem for refusal in refusals for problem in _problems_of(refusal)]
    first = refusals[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    one = len(refusals) == 1 and isinstance(first, Rejected)
    code = first.code if one else "validation_failed"
    return Rejected(f"{first.detail}{more}", code=code, param=first.param, problems=problems)


def _problems_of(refusal: Refusal) -> Sequence[FieldProblem]:
    field = refusal.param or ("modelId" if "model" in refusal.code else "")
    return refusal.problems or [_problem(field, refusal.code, refusal.detail)]


def _too_large(field: str, size: int, limit: int) -> FieldProblem:
    return _problem(field, "out_of_range", f"is {size} bytes, above the limit of {limit}")


def _problem(field: str, code: str, message: str) -> FieldProblem:
    return FieldProblem(field=field, code=code, message=message)
