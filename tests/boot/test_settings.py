import base64
import json
import re
from pathlib import Path

import pytest

from adapters.postgres.settings import EmbeddedSettings, ExternalSettings
from appstrate.environment import SettingsError, read_environment
from appstrate.extensions.audit_file import AuditFileSettings
from appstrate.paths import ROOT
from appstrate.settings import read_settings

KEY = base64.b64encode(b"k" * 32).decode()
SECRETS = {
    "BETTER_AUTH_SECRET": "a" * 32,
    "RUN_TOKEN_SECRET": "r" * 32,
    "UPLOAD_SIGNING_SECRET": "u" * 32,
    "CONNECTION_ENCRYPTION_KEY": KEY,
}


def problems(variables: dict[str, str]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(variables)
    pairs = (problem.partition(": ") for problem in caught.value.problems)
    return {name: why for name, _, why in pairs}


def test_with_nothing_set_there_are_defaults(tmp_path: Path) -> None:
    settings = read_settings({"DATA_DIR": str(tmp_path)})

    assert (settings.host, settings.port, settings.production) == ("127.0.0.1", 3000, False)
    assert settings.database == EmbeddedSettings(root=tmp_path / "postgres")
    assert settings.storage.root == tmp_path / "storage"
    assert settings.executor.root == tmp_path / "runs"
    assert settings.egress.loopback
    assert settings.limits.timeout_ceiling_seconds == 1800


def test_secrets_are_made_once_in_development_and_kept_privately(tmp_path: Path) -> None:
    first = read_settings({"DATA_DIR": str(tmp_path)})
    second = read_settings({"DATA_DIR": str(tmp_path)})
    path = tmp_path / "secrets.json"

    assert set(first.generated) == {
        *("AUTH_SECRET", "RUN_TOKEN_SECRET", "UPLOAD_SIGNING_SECRET", "CONNECTION_ENCRYPTION_KEY")
    }
    assert second.generated == ()
    assert first.keys == second.keys
    assert path.stat().st_mode & 0o777 == 0o600
    given = read_settings({"DATA_DIR": str(tmp_path), "AUTH_SECRET": "mine, for this test"})
    assert given.keys.auth == ("mine, for this test",)
    assert given.keys.encryption == first.keys.encryption


def test_production_makes_nothing_up(tmp_path: Path) -> None:
    found = problems({"APP_ENV": "production", "DATA_DIR": str(tmp_path / "new")})

    assert set(found) == set(SECRETS)
    assert not (tmp_path / "new").exists()
    assert read_settings({"NODE_ENV": "production", "DATA_DIR": str(tmp_path)} | SECRETS).production


def test_every_problem_is_reported_at_once_by_its_name(tmp_path: Path) -> None:
    wrong = {
        "DATA_DIR": str(tmp_path),
        "PORT": "eighty",
        "APP_URL": "https://example.com/path",
        "TRUSTED_ORIGINS": "https://a.example, nonsense",
        "LOG_LEVEL": "loud",
        "DATABASE_URL": "mysql://x",
        "PGLITE_DATA_DIR": "./x",
        "REDIS_URL": "redis://x",
        "S3_BUCKET": "b",
        "RUN_ADAPTER": "docker",
        "PLATFORM_RUN_LIMITS": '{"unknown": 1}',
        "CONNECTION_ENCRYPTION_KEY": "short",
        "RUN_TOKEN_SECRET": "short",
        "UPLOAD_SIGNING_SECRET": "short, and another",
        "RUN_MAX_DOCUMENTS": "0",
        "UPLOAD_RETENTION_HOURS": "721",
        "INSTANCE_ID": "a b",
        "API_BODY_LIMIT_BYTES": "-1",
        "AUTH_DISABLE_SIGNUP": "yes",
        "AUTH_DISABLE_ORG_CREATION": "1",
        "AUTH_ALLOWED_SIGNUP_DOMAINS": "@example.com",
        "AUTH_PLATFORM_ADMIN_EMAILS": "ops@example.com, ops",
        "AUTH_BOOTSTRAP_OWNER_EMAIL": "a@example.com,b@example.com",
        "AUTH_BOOTSTRAP_ORG_NAME": "x" * 101,
        "AUTH_BOOTSTRAP_TOKEN": "short",
    }
    found = problems(wrong)

    assert set(found) == set(wrong) - {"DATA_DIR"}
    assert "DATA_DIR" in found["PGLITE_DATA_DIR"]
    assert "'eighty'" in found["PORT"]


def test_an_address_in_production_is_https_or_local(tmp_path: Path) -> None:
    base = {"APP_ENV": "production", "DATA_DIR": str(tmp_path)} | SECRETS

    assert set(problems(base | {"APP_URL": "http://example.com"})) == {"APP_URL"}
    assert read_settings(base | {"APP_URL": "http://localhost:3000/"}).app_url
    assert read_settings(base | {"APP_URL": "https://example.com"}).app_url


def test_a_database_url_replaces_the_embedded_database(tmp_path: Path) -> None:
    url = "postgresql://u:p@db/x"
    settings = read_settings(
        {"DATA_DIR": str(tmp_path), "DATABASE_URL": url, "BOOT_WAIT_SECONDS": "5"}
    )

    assert settings.database == ExternalSettings(url=url, wait=5)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h1:5432,h2:5433/db",
        "postgresql:///db?host=/var/run&user=me@corp",
        "postgresql://h/db?application_name=a@b",
        "postgres://u:p%40ss@[::1]:5432/db",
    ],
)
def test_whatever_is_a_database_url_is_taken(tmp_path: Path, url: str) -> None:
    settings = read_settings({"DATA_DIR": str(tmp_path), "DATABASE_URL": url})

    assert settings.database == ExternalSettings(url=url, wait=30)


@pytest.mark.parametrize("value", ["https://App.Example.com/", "https://app.example.com:443"])
def test_origins_are_compared_as_browsers_write_them(tmp_path: Path, value: str) -> None:
    variables = {"DATA_DIR": str(tmp_path), "APP_URL": value, "TRUSTED_ORIGINS": value}
    settings = read_settings(variables)

    assert settings.app_url == "https://app.example.com"
    assert settings.trusted_origins == {"https://app.example.com"}


@pytest.mark.parametrize("password", ["pa/ss", "pa?ss", "pa#ss", "12/34", "12?34"])
def test_a_password_that_breaks_its_url_is_not_repeated(tmp_path: Path, password: str) -> None:
    url = f"postgresql://me:{password}@db.example:5432/agents"
    with pytest.raises(SettingsError) as caught:
        read_settings({"DATA_DIR": str(tmp_path), "DATABASE_URL": url})

    assert "DATABASE_URL: is no URL" in str(caught.value)
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "hops"), [("false", 0), ("0", 0), ("true", 1), ("1", 1), ("3", 3)]
)
def test_proxies_are_trusted_as_far_as_told(tmp_path: Path, value: str, hops: int) -> None:
    settings = read_settings({"DATA_DIR": str(tmp_path), "TRUST_PROXY": value})

    assert settings.http("http://localhost").trusted_hops == hops


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PLATFORM_API_URL", "https://agents.example.com"),
        ("PLATFORM_RUN_LIMITS", '{"timeout_ceiling_seconds": -5}'),
        ("PLATFORM_RUN_LIMITS", '{"max_concurrent_per_org": 0}'),
        ("TOOL_RESULT_BYTE_LIMIT", "0"),
        ("TRUST_PROXY", "yes"),
        ("TRUST_PROXY", "-1"),
        ("RATE_LIMIT_FACTOR", "0"),
        ("REMOTE_RUN_EVENT_LIMITS", '{"burst": 0}'),
        ("WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS", "soon"),
    ],
)
def test_what_would_fail_every_run_is_refused_at_boot(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({"DATA_DIR": str(tmp_path), name: value})


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"AUTH_SECRET=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env: cannot be read"):
        read_environment(tmp_path)


def test_retired_keys_are_kept_for_reading(tmp_path: Path) -> None:
    old = base64.b64encode(b"o" * 32).decode()
    settings = read_settings(
        {
            "DATA_DIR": str(tmp_path),
            "CONNECTION_ENCRYPTION_KEY_ID": "k2",
            "CONNECTION_ENCRYPTION_KEYS": json.dumps({"k1": old}),
            "BETTER_AUTH_SECRETS": json.dumps({"k0": "old secret"}),
            "RUN_TOKEN_SECRET": "n" * 16 + ", " + "o" * 16,
        }
        | {k: v for k, v in SECRETS.items() if k != "RUN_TOKEN_SECRET"}
    )

    assert settings.keys.encryption == {"k1": b"o" * 32, "k2": b"k" * 32}
    assert settings.keys.encryption_active == "k2"
    assert settings.keys.auth == ("a" * 32, "old secret")
    assert settings.keys.run_tokens == ("n" * 16, "o" * 16)


def test_a_new_key_needs_a_name_of_its_own(tmp_path: Path) -> None:
    old = json.dumps({"k1": base64.b64encode(b"o" * 32).decode()})
    given = SECRETS | {"DATA_DIR": str(tmp_path), "CONNECTION_ENCRYPTION_KEYS": old}
    found = problems(given)

    assert "CONNECTION_ENCRYPTION_KEY_ID" in found["CONNECTION_ENCRYPTION_KEYS"]
    same = given | {"CONNECTION_ENCRYPTION_KEYS": json.dumps({"k1": KEY})}
    assert read_settings(same).keys.encryption == {"k1": b"k" * 32}


def test_secrets_are_not_made_for_who_only_looks_for_them(tmp_path: Path) -> None:
    variables = {"DATA_DIR": str(tmp_path / "data")}
    with pytest.raises(SettingsError, match="DATA_DIR: no server of yours"):
        read_settings(variables, make_secrets=False)
    assert not (tmp_path / "data").exists()

    made = read_settings(variables)
    assert read_settings(variables, make_secrets=False).keys == made.keys


def test_only_a_server_that_nobody_else_reaches_may_reach_itself(tmp_path: Path) -> None:
    open_ = {"DATA_DIR": str(tmp_path), "HOST": "0.0.0.0"}  # noqa: S104 - that is the point

    assert not read_settings(open_).egress.loopback
    allowed = read_settings(open_ | {"EGRESS_ALLOW_INTERNAL_HOSTS": "Ollama.lan, 10.0.0.5"})
    assert allowed.egress.allowed_hosts == {"ollama.lan", "10.0.0.5"}


def test_cookies_are_secure_when_the_address_is(tmp_path: Path) -> None:
    settings = read_settings({"DATA_DIR": str(tmp_path)})
    plain, secure = settings.http("http://127.0.0.1:3000"), settings.http("https://x.example")

    assert (plain.cookies.secure, secure.cookies.secure) == (False, True)
    assert "http://localhost:3000" in plain.cookies.trusted_origins
    assert "http://[::1]:3000" in plain.cookies.trusted_origins


def test_several_folders_of_system_packages(tmp_path: Path) -> None:
    folders = read_settings(
        {"DATA_DIR": str(tmp_path), "SYSTEM_PACKAGES_DIR": f"{tmp_path}/a:{tmp_path}/b"}
    ).system_packages

    assert folders == (tmp_path / "a", tmp_path / "b")


def test_the_environment_wins_over_the_file_and_empty_means_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text('PORT=4000\nHOST="0.0.0.0"\nLOG_LEVEL=\nDATA_DIR=" x "\n')
    monkeypatch.setenv("PORT", "5000")
    monkeypatch.setenv("HOST", "  ")
    monkeypatch.setenv("LOG_LEVEL", "")
    found = read_environment(tmp_path)

    assert found["PORT"] == "5000"
    assert found["DATA_DIR"] == "x"
    assert "LOG_LEVEL" not in found


def test_the_example_names_every_variable_that_is_read() -> None:
    read: set[str] = set()
    for module in ("settings.py", "keys.py", "environment.py", "admission.py"):
        source = (ROOT / "appstrate" / module).read_text()
        read |= set(re.findall(r'"([A-Z][A-Z0-9]*_[A-Z0-9_]+|HOST|PORT)"', source))
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
    refused = {"PGLITE_DATA_DIR", "REDIS_URL", "S3_BUCKET"}
    read |= {
        f"EXTENSION_AUDIT_FILE_{field.upper()}" for field in AuditFileSettings.__struct_fields__
    }

    assert read - refused == named
