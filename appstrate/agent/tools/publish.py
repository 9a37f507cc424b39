"""The tool by which an agent publishes a file before its run ends."""

from pathlib import Path

from appstrate.agent.documents import Documents, PublishError
from appstrate.agent.models.turn import Json, Tool, ToolError
from appstrate.agent.tools.files import inside, text_of
from appstrate.agent.tools.memory import check_closed


def publish_tool(documents: Documents, workspace: Path) -> Tool:
    """The tool `publish_document`."""
    root = workspace.resolve()

    async def run(arguments: Json) -> str:
        check_closed(arguments, ("path", "name", "presentation"))
        path = inside(root, text_of(arguments, "path"))
        name = text_of(arguments, "name") if arguments.get("name") else ""
        presentation = arguments.get("presentation")
        if presentation not in (None, "primary"):
            raise ToolError("presentation must be primary, or left out")
        if not path.is_file():
            raise ToolError("there is no such file")
        try:
            made = await documents.publish(path, name, primary=presentation == "primary")
        except PublishError as error:
            raise ToolError(f"{error.code}: {error}") from None
        return f"Published {made['name']} → {made['uri']}"

    return Tool(
        "publish_document",
        "Deliver a file of the workspace now. What is in outputs/ at the end is delivered anyway.",
        {
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Path in the workspace"},
                "name": {"type": "string", "description": "Its name for readers, if another"},
                "presentation": {
                    "type": "string",
                    "enum": ["primary"],
                    "description": "The one file a reader should see first",
                },
            },
            "required": ["path"],
            "additionalProperties": False,
        },
        run,
    )
