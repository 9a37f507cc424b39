"""Manifests and archives for tests."""

import io
import json
import zipfile
from typing import Any


def agent_manifest(name: str = "@acme/report", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1.0.0",
        "type": "agent",
        "schema_version": "0.1",
        "display_name": "Report",
        "description": "Writes a report",
    } | fields


def typed_agent_manifest(name: str = "@acme/report", **fields: Any) -> dict[str, Any]:
    return agent_manifest(
        name,
        input={
            "schema": {
                "type": "object",
                "properties": {
                    "topic": {"type": "string", "description": "What to write about"},
                    "pages": {"type": "integer", "default": 1, "maximum": 10},
                },
                "required": ["topic"],
                "additionalProperties": False,
            }
        },
        output={
            "schema": {
                "type": "object",
                "properties": {"summary": {"type": "string"}, "score": {"type": "number"}},
                "required": ["summary"],
            }
        },
        runtime_tools=["output", "log"],
        **fields,
    )


def skill_manifest(name: str = "@acme/tone", **fields: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0.0", "type": "skill"} | fields


SKILL = "---\nname: tone\ndescription: How we write\n---\n\nBe brief.\n"


def archive(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zip_file:
        for path, content in files.items():
            # ZipInfo cuts a name at a NUL; a hostile writer does not.
            entry = zipfile.ZipInfo(path.replace("\0", "\x01"))
            zip_file.writestr(entry, content, zipfile.ZIP_DEFLATED)
    content = buffer.getvalue()
    for path in files:
        content = content.replace(path.replace("\0", "\x01").encode(), path.encode())
    return content


def agent_archive(manifest: dict[str, Any] | None = None, prompt: str = "Write it.") -> bytes:
    return archive({"manifest.json": json.dumps(manifest or agent_manifest()), "prompt.md": prompt})


def skill_archive(manifest: dict[str, Any] | None = None, skill: str = SKILL) -> bytes:
    return archive(
        {
            "manifest.json": json.dumps(manifest or skill_manifest()),
            "SKILL.md": skill,
            "references/words.txt": "short",
        }
    )
