"""The rules of integration manifests that no schema can state."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from actors.documents import as_list, as_object
from actors.packages.tool_catalog import tool_catalog
from actors.runtime import FieldProblem
from actors.schemas import Schema

CREDENTIAL = re.compile(r"\{\$credential\.(\w+)\}")
NEEDS_CREDENTIAL_SCHEMA = ("api_key", "basic", "mtls", "custom")


def integration_problems(manifest: Mapping[str, Any]) -> Iterator[FieldProblem]:
    """What is wrong with an integration whose shape is right."""
    auths: Mapping[str, Any] = manifest["auths"]
    for key, auth in auths.items():
        under = f"auths.{key}"
        yield from _auth_problems(under, auth)
        yield from _scope_problems(under, auth)
        if "connect" in auth:
            yield from _connect_problems(under, auth)
    yield from _policy_problems(manifest, auths)
    meta: Mapping[str, Any] = manifest.get("_meta", {})
    for key in meta.get("dev.appstrate/api", {}).get("auths", {}):
        if key not in auths:
            yield _problem(f"_meta.dev.appstrate/api.auths.{key}", "is not a declared auth")
    yield from _default_tool_problems(manifest)


def integration_warnings(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What an integration asks for that will fail once it is used."""
    auths: Mapping[str, Any] = manifest["auths"]
    for key, auth in auths.items():
        login: Mapping[str, Any] = auth.get("connect", {}).get("login", {})
        outputs: Mapping[str, Any] = login.get("outputs", {})
        for used in [*as_list(login.get("success_criteria")), *outputs.values()]:
            if as_object(used).get("type") == "xpath":
                yield f"auths.{key}.connect.login uses XPath, which is not supported: it will fail"


def _default_tool_problems(manifest: Mapping[str, Any]) -> Iterator[FieldProblem]:
    tools: list[str] | str = manifest.get("default_tools", [])
    if tools == "*" and not manifest.get("allow_undeclared_tools"):
        yield _problem("default_tools", "'*' needs allow_undeclared_tools")
    if tools == "*" or manifest["source"]["kind"] != "none":
        return
    known = tool_catalog(manifest)
    for name in tools:
        if name not in known:
            there = ", ".join(known) or "none"
            yield _problem("default_tools", f"{name} is not among the tools there are: {there}")


def _auth_problems(under: str, auth: Mapping[str, Any]) -> Iterator[FieldProblem]:
    kind = auth["type"]
    # Without a delivery, the usual one of its type applies.
    delivery: Mapping[str, Any] = auth.get("delivery", {"http": {}})
    endpoints = "authorization_endpoint" in auth and "token_endpoint" in auth
    if kind == "oauth2" and "issuer" not in auth and not endpoints:
        what = "needs issuer, or both authorization_endpoint and token_endpoint"
        yield _problem(under, what)
    if kind in NEEDS_CREDENTIAL_SCHEMA and "credentials" not in auth:
        yield _problem(f"{under}.credentials", f"is required for {kind}", "required")
    if "http" in delivery and ("env" in delivery or "files" in delivery):
        yield _problem(f"{under}.delivery", "http excludes env and files")
    if not {"http", "env", "files"} & set(delivery):
        yield _problem(f"{under}.delivery", "needs http, env or files", "required")
    if "credentials" in auth:
        try:
            Schema(auth["credentials"]["schema"])
        except ValueError as error:
            yield _problem(f"{under}.credentials.schema", f"is no JSON Schema: {error}")
    separator = auth.get("_meta", {}).get("dev.appstrate/oauth", {}).get("scope_separator", " ")
    if separator not in (" ", ","):
        field = f"{under}._meta.dev.appstrate/oauth.scope_separator"
        yield _problem(field, "must be a space or a comma")
    if kind == "mtls" and "http" in auth.get("delivery", {}):
        yield _problem(f"{under}.delivery.http", "cannot deliver mtls")
    if not auth.get("authorized_uris") and not auth.get("allow_all_uris"):
        yield _problem(f"{under}.authorized_uris", "must list URIs, or set allow_all_uris")


def _scope_problems(under: str, auth: Mapping[str, Any]) -> Iterator[FieldProblem]:
    catalog: list[Mapping[str, Any]] = auth.get("scope_catalog", [])
    known = {scope["value"] for scope in catalog}
    if catalog:
        for scope in auth.get("default_scopes", []):
            if scope not in known:
                yield _problem(f"{under}.default_scopes", f"{scope} is not in scope_catalog")
    for scope in catalog:
        for implied in scope.get("implies", []):
            if implied not in known or implied == scope["value"]:
                yield _problem(f"{under}.scope_catalog", f"{scope['value']} cannot imply {implied}")


def _connect_problems(under: str, auth: Mapping[str, Any]) -> Iterator[FieldProblem]:
    connect: Mapping[str, Any] = auth["connect"]
    if auth["type"] != "custom":
        yield _problem(f"{under}.connect", "is only for custom auths")
    if ("login" in connect) == ("tool" in connect):
        yield _problem(f"{under}.connect", "needs exactly one of login and tool")
    if "login" not in connect:
        return
    login: Mapping[str, Any] = connect["login"]
    outputs = set(login.get("outputs", {}))
    if not outputs:
        yield _problem(f"{under}.connect.login.outputs", "needs at least one", "required")
    named = [login["expires_in_output"]] if "expires_in_output" in login else []
    for output in [*named, *login.get("identity_outputs", {})]:
        if output not in outputs:
            yield _problem(f"{under}.connect.login", f"{output} is not a declared output")
    for used in CREDENTIAL.findall(str(auth.get("delivery"))):
        if used not in outputs:
            yield _problem(f"{under}.delivery", f"{used} is not an output of connect.login")


def _policy_problems(
    manifest: Mapping[str, Any], auths: Mapping[str, Any]
) -> Iterator[FieldProblem]:
    for tool, policy in manifest.get("tools_policy", {}).items():
        under = f"tools_policy.{tool}.required_scopes"
        for key, scopes in policy.get("required_scopes", {}).items():
            if key not in auths:
                yield _problem(f"{under}.{key}", "is not a declared auth", "invalid_key")
                continue
            known = {scope["value"] for scope in auths[key].get("scope_catalog", [])}
            for scope in scopes:
                if known and scope not in known:
                    yield _problem(f"{under}.{key}", f"{scope} is not in the scope catalog")


def _problem(field: str, message: str, code: str = "invalid_value") -> FieldProblem:
    return FieldProblem(field=field, code=code, message=message)
