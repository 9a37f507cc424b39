"""The four families of package routes."""

from actors.packages import PackageType

FOLDERS: dict[str, PackageType] = {
    "agents": "agent",
    "skills": "skill",
    "integrations": "integration",
    "mcp-servers": "mcp-server",
}
