"""Packages as other tools make them, in their habits, and every way of delivering a secret."""

import io
import json
import zipfile
from typing import Any

Json = dict[str, Any]
SCHEMAS = "https://schemas.afps.dev/v0"


def zipped(folder: str, files: dict[str, str | bytes]) -> bytes:
    """What `zip -r` makes of a folder on a Mac: a wrapper, its directories, and resource forks."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        directories = {f"{folder}/"}
        for path in files:
            parts = path.split("/")[:-1]
            directories |= {"/".join([folder, *parts[: n + 1]]) + "/" for n in range(len(parts))}
        for directory in sorted(directories):
            target.writestr(zipfile.ZipInfo(directory, (2026, 3, 14, 9, 26, 52)), b"")
        for path, content in files.items():
            entry = zipfile.ZipInfo(f"{folder}/{path}", (2026, 3, 14, 9, 26, 52))
            entry.external_attr = 0o100755 << 16
            target.writestr(entry, content, zipfile.ZIP_DEFLATED)
            target.writestr(f"__MACOSX/{folder}/._{path.split('/')[-1]}", b"\0\5\x16\7")
    return buffer.getvalue()


def text(manifest: Json) -> str:
    """A manifest as a person left it: with a byte order mark and tabs."""
    return "\ufeff" + json.dumps(manifest, indent="\t", ensure_ascii=False)


def skill(name: str) -> bytes:
    manifest = {
        "$schema": f"{SCHEMAS}/skill.schema.json",
        "name": name,
        "version": "0.3.0-beta.2",
        "type": "skill",
        "display_name": "Rédaction soignée",
        "keywords": ["écriture", "été"],
        "compatibility": {"platforms": ["linux"], "runtimes": {"python": ">=3.9"}},
        "x-vendor": {"build": 7, "notes": None},
    }
    prose = '---\r\nname: "redaction"\r\ndescription: Écrire sans détour\r\n---\r\nSoyez bref.\r\n'
    return zipped(
        "redaction-0.3.0",
        {
            "manifest.json": text(manifest),
            "SKILL.md": prose,
            "scripts/vérifier.py": "print(1)\n",
            "assets/logo.png": b"\x89PNG\r\n\x1a\n\0",
        },
    )


def agent(name: str, skill_name: str, integration: str) -> Json:
    return {
        "$schema": f"{SCHEMAS}/agent.schema.json",
        "schema_version": "0.2",
        "name": name,
        "version": "2.1.0+build.5",
        "type": "agent",
        "display_name": "Résumé d\u2019été",
        "description": "Résume un sujet, en français",
        "author": {"name": "Zoé", "email": "zoe@example.com", "homepage": "ignored"},
        "license": "MIT",
        "icon": "logos:slack-icon",
        "icons": [{"src": "icon.svg", "size": "48x48", "theme": "dark"}],
        "repository": {"type": "git", "url": "https://git.example/x", "directory": "agents/x"},
        "timeout": 120,
        "input": {
            "schema": {
                "type": "object",
                "properties": {
                    "sujet": {"type": "string", "description": "Le sujet", "maxLength": 900},
                    "ton": {"type": "string", "enum": ["bref", "long"], "default": "bref"},
                },
                "required": ["sujet"],
            },
            "ui_hints": {"sujet": {"placeholder": "Les marées…"}},
            "property_order": ["ton", "sujet"],
        },
        "output": {
            "schema": {
                "type": "object",
                "properties": {"résumé": {"type": "string"}},
                "required": ["résumé"],
            }
        },
        "runtime_tools": ["output", "log"],
        "dependencies": {"skills": {skill_name: ">=0.3.0-0 <1"}, "integrations": {}, "models": {}},
        "x-lineage": {"from": [1, 2.5, {"deep": "ß"}]},
        "_meta": {
            "dev.appstrate/resources": {"memory_mb": 256},
            "com.example.tool/build": {"sha": "abc"},
        },
        "suggested_integration": integration,
    }


def server(name: str) -> bytes:
    manifest = {
        "$schema": f"{SCHEMAS}/mcp-server.schema.json",
        "schema_version": "0.1",
        "manifest_version": "0.3",
        "name": name,
        "version": "1.0.1",
        "type": "mcp-server",
        "author": {"name": "Équipe"},
        "server": {
            "type": "node",
            "entry_point": "./server/index.ts",
            "mcp_config": {
                "command": "node",
                "args": ["${__dirname}/server/index.ts"],
                "env": {"TOKEN": "${user_config.token}"},
                "platform_overrides": {"win32": {"command": "node.exe"}},
            },
        },
        "tools": [{"name": "clone", "description": "Cloner un dépôt"}, {"name": "push"}],
        "user_config": {
            "token": {"type": "string", "title": "Jeton", "sensitive": True, "required": True}
        },
        "_meta": {
            "dev.appstrate/mcp-server": {"runtime": "bun"},
            "dev.appstrate/workspace": {"mount": "/workspace", "access": "rw"},
        },
    }
    return zipped("server", {"manifest.json": text(manifest), "server/index.ts": "// ts\n"})


def integration(name: str, auths: Json, **fields: Any) -> bytes:
    manifest = {
        "schema_version": "0.1",
        "name": name,
        "version": "1.0.3",
        "type": "integration",
        "display_name": "Intégration",
        "description": "Accès à l\u2019API",
        "license": "MIT",
        "icon": "simple-icons:zendesk",
        "source": {"kind": "none"},
        "auths": auths,
        "setup_guide": {
            "steps": [{"label": "Créez une clé", "url": "https://help.example/clé"}],
            "callback_url_hint": "Collez {{callback_url}} ici",
        },
        "_meta": {"dev.appstrate/package": {"origin": "shipped"}},
    } | fields
    if manifest["source"] == {"kind": "none"}:
        manifest["default_tools"] = ["api_call"]
        api = {"auths": {"primary": fields.get("api", {})}}
        manifest["_meta"] = {"dev.appstrate/api": api} | dict(manifest["_meta"])
        manifest.pop("api", None)
    files: dict[str, str | bytes] = {"manifest.json": text(manifest)}
    return zipped(name.partition("/")[2], files)


def _header(name: str, value: str, prefix: str | None = None, **more: str) -> Json:
    http = {"in": "header", "name": name, "value": value} | more
    return {"http": http if prefix is None else http | {"prefix": prefix}}


def _secret(*fields: str) -> Json:
    properties = {field: {"type": "string", "title": field} for field in fields}
    return {"schema": {"type": "object", "properties": properties, "required": list(fields)}}


def _key(delivery: Json, *fields: str, kind: str = "api_key", **more: Any) -> Json:
    made = {
        "type": kind,
        "credentials": _secret(*(fields or ("api_key",))),
        "delivery": delivery,
        "authorized_uris": ["https://*.example.com/**"],
        "_meta": {"dev.appstrate/auth": {"required": True}},
    }
    return made | more


def _oauth(prefix: str = "Bearer", **more: Any) -> Json:
    made = {
        "type": "oauth2",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://id.example/token",
        "token_endpoint_auth_method": "client_secret_post",
        "delivery": _header("Authorization", "{$credential.access_token}", prefix),
        "authorized_uris": ["https://api.example/**"],
        "_meta": {"dev.appstrate/oauth": {"scope_separator": ","}},
    }
    return made | more


KEY = "{$credential.api_key}"
CATALOG = [
    {"value": "repo", "label": "Dépôts", "implies": ["read"]},
    {"value": "read", "label": "Lecture"},
]
ISSUER_ONLY: Json = {
    "type": "oauth2",
    "issuer": "https://id.example",
    "token_endpoint_auth_method": "none",
    "code_challenge_methods_supported": ["S256"],
    "delivery": _header("Authorization", "{$credential.access_token}", "Bearer "),
    "authorized_uris": ["https://mcp.example/**"],
}

# One for each way in which shipped integrations deliver a secret, and get it.
DELIVERIES: dict[str, Json] = {
    "bare-header": _key(_header("Api-Token", KEY)),
    "bare-header-any-uri": _key(_header("Api-Token", KEY), allow_all_uris=True),
    "bearer": _key(_header("Authorization", KEY, "Bearer")),
    "basic-one-field": _key(_header("Authorization", KEY + ":X", "Basic", encoding="base64")),
    "basic-literal": _key(
        _header(
            "Authorization",
            "{$credential.email}/token:{$credential.api_key}",
            "Basic",
            encoding="base64",
        ),
        "email",
        "api_key",
    ),
    "basic-two-fields": _key(
        _header(
            "Authorization", "{$credential.sid}:{$credential.token}", "Basic", encoding="base64"
        ),
        "sid",
        "token",
    ),
    "composite-prefix": _key(_header("Authorization", KEY, "Token token=")),
    "named-header": _key(_header("X-Shopify-Access-Token", KEY)),
    "environment": _key({"env": {"TELEGRAM_BOT_TOKEN": {"value": KEY, "sensitive": True}}}),
    "custom-environment": _key(
        {"env": {"WEBHOOK_URL": {"value": "{$credential.url}", "user_config_key": "URL"}}},
        "url",
        kind="custom",
        authorized_uris=[],
        allow_all_uris=True,
    ),
    "custom-header": _key(
        _header(
            "Authorization", "{$credential.user}:{$credential.word}", "Basic", encoding="base64"
        ),
        *("user", "word"),
        kind="custom",
        authorized_uris=[],
        allow_all_uris=True,
    ),
    "files": _key({"files": {"/run/key.pem": {"value": KEY, "mode": "0400"}}}),
    "oauth": _oauth(identity_claims={"account_id": "$.data.user.id", "email": "$.email"}),
    "oauth-odd-prefix": _oauth("Zoho-oauthtoken"),
    "oauth-basic-pkce": _oauth(
        token_endpoint_auth_method="client_secret_basic",
        code_challenge_methods_supported=["S256"],
        authorization_params={"access_type": "offline", "prompt": "consent"},
        userinfo_endpoint="https://id.example/me",
    ),
    "oauth-scopes": _oauth(default_scopes=["repo"], scope_catalog=CATALOG),
    "oauth-public": ISSUER_ONLY,
    "default": {
        "type": "api_key",
        "credentials": _secret("api_key"),
        "authorized_uris": ["https://a.example/**"],
    },
}
