"""Who may do what: permission strings `resource:action`, and the roles that hold them."""

from typing import Literal, TypeAlias

Role: TypeAlias = Literal["owner", "admin", "member", "viewer"]

ACTIONS = {
    "org": "read update delete",
    "members": "read invite change-role remove",
    "agents": "read write configure delete run",
    "skills": "read write delete",
    "mcp-servers": "read write delete",
    "integrations": "read write delete install uninstall connect disconnect",
    "runs": "read cancel delete",
    "documents": "read delete",
    "schedules": "read write delete",
    "persistence": "read delete",
    "models": "read write delete",
    "model-provider-credentials": "read write delete",
    "proxies": "read write delete",
    "api-keys": "read create revoke",
    "applications": "read write delete",
    "end-users": "read write delete",
    "credential-proxy": "call",
    "llm-proxy": "call",
    "webhooks": "read write delete",
    "mcp": "read invoke",
    "chat": "read write",
    "oauth-clients": "read write delete",
}

NEVER_GRANTED_TO_KEYS = frozenset(
    {"org", "members", "persistence", "model-provider-credentials", "api-keys", "chat"}
)

MEMBERS_READ = (
    *("org", "members", "agents", "skills", "mcp-servers", "integrations", "runs", "documents"),
    *("schedules", "persistence", "models", "proxies", "applications"),
)

ALL = frozenset(f"{r}:{action}" for r, actions in ACTIONS.items() for action in actions.split())
VIEWER = frozenset(f"{resource}:read" for resource in MEMBERS_READ)
MEMBER = VIEWER | {
    *("agents:run", "runs:cancel", "integrations:connect", "integrations:disconnect"),
    *("llm-proxy:call", "end-users:read", "end-users:write"),
}

OF_ROLE: dict[Role, frozenset[str]] = {
    "owner": ALL,
    "admin": ALL - {"org:delete"},
    "member": MEMBER,
    "viewer": VIEWER,
}


def grantable(role: Role) -> frozenset[str]:
    """What a member of this role may hand to an API key."""
    return frozenset(p for p in OF_ROLE[role] if p.split(":")[0] not in NEVER_GRANTED_TO_KEYS)
