"""The environment, read once: every variable in one table, every problem reported at once."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args
from urllib.parse import urlsplit

import msgspec

from actors.accounts import AccessPolicy
from actors.egress import Egress
from actors.files import FileLimits
from actors.models import SystemModels, read_system_models
from actors.packages import BundleLimits, Policy, Trust, TrustedKey, public_key_problem
from actors.retention import RetentionPolicy
from actors.runs import (
    Capacity,
    EventLimits,
    InlineLimits,
    Liveness,
    RemoteLimits,
    RunLimits,
)
from adapters.local.machine import memory_bytes, processors, runs_carried
from adapters.local.settings import LocalExecutorSettings, LocalStorageSettings, SandboxMode
from adapters.postgres.settings import EmbeddedSettings, ExternalSettings
from appstrate.admission import Claim, read_access
from appstrate.environment import Reader, SettingsError
from appstrate.extensions.settings import PREFIX, ExtensionSettings
from appstrate.http.app import HttpSettings
from appstrate.http.auth import CookieSettings
from appstrate.keys import Keys, read_keys
from appstrate.paths import SYSTEM_PACKAGES

LOOPBACK = ("127.0.0.1", "::1", "localhost")
PORT = re.compile(r":([^\]]*)$")
DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
INSTANCE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LEVELS = ("debug", "info", "warn", "error")
METRICS_TOKEN = re.compile(r"[!-~]{16,128}")
MOST_HOPS = 20
REFUSED = {
    "PGLITE_DATA_DIR": "there is no PGlite here: the embedded PostgreSQL lives in DATA_DIR",
    "REDIS_URL": "Redis is not supported by this version yet: unset it",
    "S3_BUCKET": "S3 is not supported by this version yet: unset it",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the server was told, checked, in slices for whoever needs them."""

    production: bool
    host: str
    port: int
    app_url: str | None
    data_dir: Path
    log_level: str
    version: str | None
    commit: str | None
    signature_seconds: int
    tool_result_bytes: int
    instance: str | None
    platform_url: str | None
    upstream_proxy: str | None
    shutdown_seconds: float
    misfire_grace: int
    system_packages: tuple[Path, ...]
    database: EmbeddedSettings | ExternalSettings
    storage: LocalStorageSettings
    executor: LocalExecutorSettings
    pool_size: int
    capacity: Capacity
    liveness: Liveness
    limits: RunLimits
    inline_limits: InlineLimits
    retention: RetentionPolicy
    remote_limits: RemoteLimits
    event_limits: EventLimits
    trust: Trust
    bundle_limits: BundleLimits
    files: FileLimits
    keys: Keys
    access: AccessPolicy
    claim: Claim | None
    system_models: SystemModels
    egress: Egress
    cookie_domain: str | None
    trusted_origins: frozenset[str]
    body_limit: int
    extensions: ExtensionSettings
    trusted_hops: int
    rate_factor: int
    metrics_token: str | None
    generated: tuple[str, ...]

    @property
    def loopback_only(self) -> bool:
        """Whether nobody but this machine can reach the server."""
        return self.host in LOOPBACK

    @property
    def webhook_egress(self) -> Egress:
        """Where webhooks may lead: to this machine during development only, whoever asks."""
        loopback = self.egress.loopback and not self.production
        return msgspec.structs.replace(self.egress, loopback=loopback)

    def http(self, url: str) -> HttpSettings:
        """The slice of the HTTP layer, once the real address is known."""
        origins = set(self.trusted_origins) | {url}
        if not self.production:
            port = urlsplit(url).port or 80
            origins |= {f"http://{h}:{port}" for h in ("localhost", "127.0.0.1", "[::1]")}
        return HttpSettings(
            body_limit=self.body_limit,
            trusted_hops=self.trusted_hops,
            rate_factor=self.rate_factor,
            url=url,
            cookies=CookieSettings(
                secrets=self.keys.auth,
                secure=url.startswith("https:"),
                domain=self.cookie_domain,
                trusted_origins=frozenset(origins),
            ),
        )


def read_settings(variables: Mapping[str, str], *, make_secrets: bool = True) -> Settings:
    """Check every variable. Raises `SettingsError` with all that is wrong.

    In development secrets that are not given are made once and kept in `DATA_DIR/secrets.json`;
    their names are in `generated`. Where they must not be made, that is wrong too.
    """
    read = Reader(variables)
    production = read.choice("APP_ENV", ("development", "production", "test"), "NODE_ENV")
    data_dir = Path(read.text("DATA_DIR", "./data")).expanduser().absolute()
    for name, why in REFUSED.items():
        if name in variables:
            read.problem(name, why)
    if read.text("RUN_ADAPTER", "process") != "process":
        read.problem("RUN_ADAPTER", "must be process: Docker is not supported by this version yet")
    host = read.text("HOST", "127.0.0.1")
    app_url = read.origin("APP_URL")
    if production == "production" and app_url and not _safe_in_production(app_url):
        read.problem("APP_URL", "must be https in production")
    platform_url = read.origin("PLATFORM_API_URL")
    if platform_url and not platform_url.startswith("http:"):
        why = "must begin with http://: runs reach this server itself, which speaks no TLS"
        read.problem("PLATFORM_API_URL", why)
    storage = Path(read.text("FS_STORAGE_PATH", str(data_dir / "storage"))).expanduser()
    required = production == "production"
    keys, generated = read_keys(read, data_dir, required=required, make=make_secrets)
    access, claim = read_access(read, keys)
    inline_limits: InlineLimits = read.strict("INLINE_RUN_LIMITS", InlineLimits)
    settings = Settings(
        production=production == "production",
        host=host,
        port=read.integer("PORT", 3000, least=0, most=65_535),
        app_url=app_url,
        data_dir=data_dir,
        log_level=read.choice("LOG_LEVEL", LEVELS, default="info"),
        version=variables.get("APP_VERSION"),
        commit=variables.get("GIT_SHA"),
        signature_seconds=read.integer("WEBHOOK_TIMESTAMP_TOLERANCE_SECONDS", 300, least=1),
        tool_result_bytes=read.integer("TOOL_RESULT_BYTE_LIMIT", 2048, least=1),
        instance=read.matching("INSTANCE_ID", INSTANCE),
        platform_url=platform_url,
        shutdown_seconds=read.integer("SHUTDOWN_TIMEOUT_SECONDS", 40, least=1, most=3600),
        misfire_grace=read.integer("SCHEDULE_MISFIRE_GRACE_SECONDS", 60, most=86_400),
        system_packages=_folders(variables.get("SYSTEM_PACKAGES_DIR")),
        database=_database(read, data_dir),
        storage=LocalStorageSettings(root=storage),
        executor=LocalExecutorSettings(
            root=data_dir / "runs",
            sandbox=cast("SandboxMode", read.choice("RUN_SANDBOX", get_args(SandboxMode))),
            hidden=(data_dir, storage),
        ),
        upstream_proxy=_upstream_proxy(read),
        pool_size=read.integer("SIDECAR_POOL_SIZE", 2, most=100),
        capacity=_capacity(read),
        liveness=_liveness(read),
        limits=read.strict("PLATFORM_RUN_LIMITS", RunLimits),
        inline_limits=inline_limits,
        retention=RetentionPolicy(
            inline_days=inline_limits.retention_days,
            run_days=_days(read, "RUN_RETENTION_DAYS"),
            log_days=_days(read, "LOG_RETENTION_DAYS"),
        ),
        remote_limits=_remote_limits(read),
        event_limits=read.strict("REMOTE_RUN_EVENT_LIMITS", EventLimits),
        trust=_trust(read),
        bundle_limits=_bundle_limits(read),
        files=_files(read),
        keys=keys,
        access=access,
        claim=claim,
        system_models=read_system_models(read.array("SYSTEM_PROVIDER_KEYS")),
        egress=Egress(
            allowed_hosts=frozenset(h.lower() for h in read.names("EGRESS_ALLOW_INTERNAL_HOSTS")),
            loopback=host in LOOPBACK,
        ),
        cookie_domain=read.matching("COOKIE_DOMAIN", DOMAIN),
        trusted_origins=frozenset(read.origins("TRUSTED_ORIGINS")),
        body_limit=read.integer("API_BODY_LIMIT_BYTES", 10 * 1024 * 1024, least=1024),
        extensions=ExtensionSettings(
            variables={k: v for k, v in variables.items() if k.startswith(PREFIX)},
            disabled=frozenset(read.names("EXTENSIONS_DISABLED")),
        ),
        trusted_hops=_trusted_hops(read),
        rate_factor=read.integer("RATE_LIMIT_FACTOR", 1, least=1, most=10_000),
        metrics_token=read.matching("METRICS_TOKEN", METRICS_TOKEN),
        generated=generated,
    )
    if read.problems:
        raise SettingsError(read.problems)
    return settings


def _days(read: Reader, name: str) -> int | None:
    """A number of days; None when it is not set."""
    return read.integer(name, 0, least=1, most=36_500) or None


def _capacity(read: Reader) -> Capacity:
    cores = processors()
    carried = runs_carried(cores, memory_bytes())
    return Capacity(
        live=read.integer("MAX_CONCURRENT_RUNS", carried, least=1, most=10_000), starting=cores
    )


def _liveness(read: Reader) -> Liveness:
    heartbeat = read.integer("RUN_HEARTBEAT_INTERVAL_SECONDS", 15, least=1, most=3600)
    stall = read.integer("RUN_STALL_THRESHOLD_SECONDS", 60, least=1, most=86_400)
    if stall < 3 * heartbeat:
        read.problem(
            "RUN_STALL_THRESHOLD_SECONDS",
            f"must be at least three times RUN_HEARTBEAT_INTERVAL_SECONDS ({heartbeat}), "
            "or runs that are well would be taken for dead",
        )
    return Liveness(
        heartbeat=heartbeat,
        stall=stall,
        boot_deadline=read.integer("RUN_BOOT_DEADLINE_SECONDS", 300, least=1, most=86_400),
        interval=read.integer("RUN_WATCHDOG_INTERVAL_SECONDS", 15, least=1, most=3600),
    )


def _database(read: Reader, data_dir: Path) -> EmbeddedSettings | ExternalSettings:
    url = read.variables.get("DATABASE_URL")
    if url is None:
        return EmbeddedSettings(root=data_dir / "postgres")
    if not _is_database_url(url):
        how = "is no URL: in a user name or password write / ? # @ : as %2F %3F %23 %40 %3A"
        read.problem("DATABASE_URL", how)
    elif not url.startswith(("postgres://", "postgresql://")):
        read.problem("DATABASE_URL", "must begin with postgres:// or postgresql://")
    return ExternalSettings(url=url, wait=read.integer("BOOT_WAIT_SECONDS", 30, most=3600))


def _is_database_url(url: str) -> bool:
    """Whether a URL means what it seems to: that no password has ended its host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    hosts = parts.netloc.rpartition("@")[2].split(",")
    ports = [found[1] for host in hosts if (found := PORT.search(host))]
    first_option = parts.query.partition("=")[0]
    lost = parts.fragment or ("@" not in parts.netloc and "@" in parts.path + first_option)
    return not lost and all(port.isdigit() for port in ports)


def _trusted_hops(read: Reader) -> int:
    """How many proxies every request comes through."""
    text = read.text("TRUST_PROXY", "false").lower()
    if text in ("false", "true"):
        return int(text == "true")
    if not text.isascii() or not text.isdigit() or int(text) > MOST_HOPS:
        read.problem("TRUST_PROXY", f"must be false, true or a number of proxies, not {text!r}")
        return 0
    return int(text)


def _trust(read: Reader) -> Trust:
    """Whose signatures of packages are trusted, and whether there must be one."""
    policy = read.choice("AFPS_SIGNATURE_POLICY", get_args(Policy))
    try:
        keys = msgspec.json.decode(read.text("AFPS_TRUST_ROOT", "[]"), type=tuple[TrustedKey, ...])
    except msgspec.DecodeError as error:
        read.problem("AFPS_TRUST_ROOT", f"is not usable: {error}")
        keys = ()
    for key in keys:
        if why := public_key_problem(key):
            read.problem("AFPS_TRUST_ROOT", why)
    return Trust(policy=cast("Policy", policy), keys=keys)


def _bundle_limits(read: Reader) -> BundleLimits:
    """The bounds of bundles; variables may only raise them."""
    usual = BundleLimits()

    def raised(name: str, least: int) -> int:
        return read.integer(name, least, least=least)

    return BundleLimits(
        archive=replace(
            usual.archive,
            compressed=raised("APPSTRATE_BUNDLE_MAX_SIZE", usual.archive.compressed),
            decompressed=raised("APPSTRATE_BUNDLE_MAX_DECOMPRESSED", usual.archive.decompressed),
            entries=raised("APPSTRATE_BUNDLE_MAX_FILES", usual.archive.entries),
        ),
        packages=raised("APPSTRATE_BUNDLE_MAX_PACKAGES", usual.packages),
    )


def _upstream_proxy(read: Reader) -> str | None:
    url = read.variables.get("PROXY_URL")
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "http" and parts.hostname and not parts.path.strip("/")
        _ = parts.port
    except ValueError:
        usable = None
    if not usable:
        # Not repeated: it may hold a password.
        read.problem("PROXY_URL", "must be http://[user:password@]host:port")
        return None
    return url


def _remote_limits(read: Reader) -> RemoteLimits:
    most = read.integer("REMOTE_RUN_SINK_MAX_TTL_SECONDS", 86_400, least=1)
    default = read.integer("REMOTE_RUN_SINK_DEFAULT_TTL_SECONDS", min(7200, most), least=1)
    if default > most:
        why = f"must not be more than REMOTE_RUN_SINK_MAX_TTL_SECONDS, which is {most}"
        read.problem("REMOTE_RUN_SINK_DEFAULT_TTL_SECONDS", why)
    return RemoteLimits(default_ttl=default, most_ttl=most)


def _files(read: Reader) -> FileLimits:
    usual, most = FileLimits(), 2**50

    def bound(name: str, default: int, least: int = 1) -> int:
        return read.integer(name, default, least=least, most=most)

    def optional(name: str) -> int | None:
        return bound(name, 1) if name in read.variables else None

    return FileLimits(
        file_bytes=bound("DOCUMENT_MAX_FILE_BYTES", usual.file_bytes),
        input_files=bound("RUN_MAX_DOCUMENTS", usual.input_files),
        input_bytes=bound("WORKSPACE_MAX_DOCS_BYTES", usual.input_bytes),
        output_bytes=bound("RUN_MAX_OUTPUT_BYTES", usual.output_bytes),
        org_bytes=optional("ORG_STORAGE_QUOTA_BYTES"),
        retention_days=optional("DOCUMENT_RETENTION_DAYS"),
        reuse_hours=read.integer("UPLOAD_RETENTION_HOURS", usual.reuse_hours, most=720),
        staged_of_user=bound("UPLOAD_MAX_ACTIVE_PER_ACTOR", usual.staged_of_user),
        staged_bytes_of_org=bound("UPLOAD_STAGING_MAX_BYTES_PER_ORG", usual.staged_bytes_of_org),
    )


def _folders(text: str | None) -> tuple[Path, ...]:
    if text is None:
        return (SYSTEM_PACKAGES,)
    return tuple(Path(part).expanduser() for part in text.split(":") if part)


def _safe_in_production(url: str) -> bool:
    return url.startswith("https:") or urlsplit(url).hostname in ("localhost", "127.0.0.1")
