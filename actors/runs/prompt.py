"""The prompt of a hosted run: what the platform has to say, then the agent's own text, verbatim.

Plain text of the model never reaches anybody; the sections say so, and say what does. Tools are
not listed: they are announced to the model with their schemas.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from actors.documents import as_list, as_object
from actors.files import InputFile, human_size
from actors.packages import AgentDefinition, Manifest, SkillFacts
from actors.packages.manifest import parameters
from actors.persistence import CHECKPOINT
from actors.schemas import is_file_field

INPUT_LIMIT = 4000


def render_prompt(
    agent: AgentDefinition,
    values: Mapping[str, Any],
    files: Sequence[InputFile],
    timeout: float,
    *,
    slots: Mapping[str, Any] | None = None,
) -> str:
    """The complete prompt; each section is there only when it has something to say.

    `slots` is what earlier runs have pinned, by key.
    """
    sections = [
        _system(agent.manifest),
        _environment(timeout),
        _communication(),
        _skills(agent.skills),
        _input(agent.manifest, values),
        _documents(files),
        _checkpoint(slots or {}),
        _pinned(slots or {}),
        _deliverables(),
        _output(agent.manifest),
    ]
    return "\n\n".join([*filter(None, sections), "---", agent.prompt])


def _system(manifest: Manifest) -> str:
    name = manifest.get("display_name") or manifest["name"]
    return (
        "# System\n\n"
        f"You are the agent “{name}”, run by the Appstrate platform in an ephemeral workspace of "
        "its own. Nobody watches while you work, and nobody answers questions: decide, and finish."
    )


def _environment(timeout: float) -> str:
    return (
        "## Environment\n\n"
        f"- You have {timeout:g} seconds, tool calls included.\n"
        "- The current directory is your workspace. Only what lies in `./outputs/` is kept after "
        "the run."
    )


def _communication() -> str:
    return (
        "## Communication\n\n"
        "Plain text you write is a note in the run's log and is never delivered. Only tool calls "
        "have an effect. Calls that do not depend on each other can be made together."
    )


def _skills(skills: Sequence[SkillFacts]) -> str:
    if not skills:
        return ""
    lines = [
        f"- **{skill.name}** (`.pi/skills/{skill.package}/SKILL.md`): {skill.description}"
        for skill in skills
    ]
    return "\n".join(
        ["## Skills", "", "Read a skill's file before you do what it is about.", "", *lines]
    )


def _input(manifest: Manifest, values: Mapping[str, Any]) -> str:
    schema = parameters(manifest, "input") or {}
    properties = as_object(schema.get("properties"))
    required = as_list(schema.get("required"))
    names = [*properties, *(name for name in values if name not in properties)]
    names = [name for name in names if not is_file_field(as_object(properties.get(name)))]
    if not names:
        return ""
    lines: list[str] = []
    for name in names:
        field = as_object(properties.get(name))
        need = "required" if name in required else "optional"
        kind = field.get("type", "any")
        about = f": {field['description']}" if field.get("description") else ""
        lines.append(f"- **{name}** ({kind}, {need}){about}")
        if name in values:
            lines.append(f"  Value: {_quoted(values[name])}")
    return "\n".join(["## User Input", "", *lines])


def _checkpoint(slots: Mapping[str, Any]) -> str:
    if slots.get(CHECKPOINT) is None:
        return ""
    about = "The state the previous run left for this one:"
    return f"## Checkpoint\n\n{about}\n\n{_fenced(slots[CHECKPOINT])}"


def _pinned(slots: Mapping[str, Any]) -> str:
    parts = [
        f"### {key}\n\n{content if isinstance(content, str) else _fenced(content)}"
        for key, content in sorted(slots.items())
        if key != CHECKPOINT
    ]
    return "\n\n".join(["## Pinned Slots", *parts]) if parts else ""


def _documents(files: Sequence[InputFile]) -> str:
    if not files:
        return ""
    lines = [
        f"- {_quoted(f'./documents/{file.workspace_name}')} ({file.mime}, {human_size(file.size)})"
        for file in files
    ]
    return "\n".join(["## Documents", "", "Files that came with the input:", "", *lines])


def _deliverables() -> str:
    return (
        "## Deliverables\n\n"
        "Files for whoever asked go into `./outputs/`, under telling names in kebab-case. What "
        "lies there when the run ends is delivered."
    )


def _output(manifest: Manifest) -> str:
    schema = parameters(manifest, "output")
    if schema is None:
        return ""
    return "\n".join(
        [
            "## Output Format",
            "",
            "Call the tool `output` exactly once, as your last action, with `data` that fits:",
            "",
            "```json",
            json.dumps(schema, indent=2, ensure_ascii=False),
            "```",
        ]
    )


def _fenced(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    fence = "`" * max(3, _longest_fence(text) + 1)
    return f"{fence}json\n{text}\n{fence}"


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > INPUT_LIMIT:
        text = text[:INPUT_LIMIT] + "…"
    # A value with backticks in it needs a longer fence, or it could pose as the prompt's own text.
    fence = "`" * (_longest_fence(text) + 1)
    return f"{fence}{text}{fence}"


def _longest_fence(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
