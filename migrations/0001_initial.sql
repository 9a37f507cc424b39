-- Accounts, packages, models and runs. Ids are text in the formats of the contract; every
-- operational table carries its organization and application, and every query filters by them.
-- Documents are json and not jsonb: what a person wrote is given back in the order they wrote it.

-- Accounts ------------------------------------------------------------------------------------

CREATE TABLE users (
    id             text PRIMARY KEY,
    email          text NOT NULL UNIQUE CHECK (email = lower(email)),
    name           text NOT NULL,
    email_verified boolean NOT NULL DEFAULT false,
    image          text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);

-- How a user may sign in: a password today, other providers later.
CREATE TABLE login_methods (
    user_id       text NOT NULL REFERENCES users ON DELETE CASCADE,
    provider      text NOT NULL,
    password_hash text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, provider)
);

CREATE TABLE sessions (
    id         text PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    user_id    text NOT NULL REFERENCES users ON DELETE CASCADE,
    ip_address text,
    user_agent text,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE organizations (
    id               text PRIMARY KEY,
    name             text NOT NULL,
    slug             text NOT NULL UNIQUE,
    -- A row of org_models or a built-in model, hence no foreign key.
    default_model_id text,
    created_by       text REFERENCES users ON DELETE SET NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE org_members (
    org_id    text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    user_id   text NOT NULL REFERENCES users ON DELETE CASCADE,
    role      text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX org_members_user ON org_members (user_id);

CREATE TABLE applications (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    name       text NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    settings   json NOT NULL DEFAULT '{}',
    created_by text REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX applications_default ON applications (org_id) WHERE is_default;
CREATE INDEX applications_org ON applications (org_id);

CREATE TABLE api_keys (
    id             text PRIMARY KEY,
    org_id         text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
    name           text NOT NULL,
    key_hash       text NOT NULL UNIQUE,
    key_prefix     text NOT NULL,
    scopes         text[] NOT NULL DEFAULT '{}',
    created_by     text NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at     timestamptz,
    last_used_at   timestamptz,
    revoked_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_keys_application ON api_keys (application_id);

-- Packages ------------------------------------------------------------------------------------

CREATE TABLE packages (
    id             text PRIMARY KEY CHECK (id ~ '^@[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*$'),
    -- Null for packages shipped with the platform, which every organization sees.
    org_id         text REFERENCES organizations ON DELETE CASCADE,
    type           text NOT NULL CHECK (type IN ('agent', 'skill', 'integration', 'mcp-server')),
    source         text NOT NULL DEFAULT 'local' CHECK (source IN ('local', 'system')),
    draft_manifest json NOT NULL,
    draft_content  text,
    -- The archive of the draft: its integrity names the blob. Null for a draft made of JSON.
    draft_archive  text,
    auto_installed boolean NOT NULL DEFAULT false,
    lock_version   integer NOT NULL DEFAULT 1,
    forked_from    text,
    created_by     text REFERENCES users ON DELETE SET NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((source = 'system') = (org_id IS NULL))
);
CREATE INDEX packages_org ON packages (org_id, type);

CREATE TABLE package_versions (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package_id    text NOT NULL REFERENCES packages ON DELETE CASCADE,
    version       text NOT NULL,
    -- Subresource integrity of the archive's bytes: sha256-<base64>.
    integrity     text NOT NULL,
    artifact_size bigint NOT NULL,
    manifest      json NOT NULL,
    content       text,
    yanked        boolean NOT NULL DEFAULT false,
    yanked_reason text,
    created_by    text REFERENCES users ON DELETE SET NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (package_id, version)
);

CREATE TABLE package_dist_tags (
    package_id text NOT NULL REFERENCES packages ON DELETE CASCADE,
    tag        text NOT NULL,
    version_id bigint NOT NULL REFERENCES package_versions ON DELETE CASCADE,
    PRIMARY KEY (package_id, tag)
);

CREATE TABLE application_packages (
    application_id    text NOT NULL REFERENCES applications ON DELETE CASCADE,
    package_id        text NOT NULL REFERENCES packages ON DELETE CASCADE,
    version_id        bigint REFERENCES package_versions ON DELETE SET NULL,
    input_settings    json NOT NULL DEFAULT '{}',
    model_id          text,
    generation_config json,
    enabled           boolean NOT NULL DEFAULT true,
    installed_at      timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (application_id, package_id)
);
CREATE INDEX application_packages_package ON application_packages (package_id);

-- Models --------------------------------------------------------------------------------------

CREATE TABLE model_provider_credentials (
    id                    text PRIMARY KEY,
    org_id                text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    label                 text NOT NULL,
    provider_id           text NOT NULL,
    credentials_encrypted text NOT NULL,
    base_url_override     text,
    created_by            text REFERENCES users ON DELETE SET NULL,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX model_provider_credentials_org ON model_provider_credentials (org_id, provider_id);

CREATE TABLE org_models (
    id             text PRIMARY KEY,
    org_id         text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    label          text NOT NULL,
    model_id       text NOT NULL,
    credential_id  text NOT NULL REFERENCES model_provider_credentials ON DELETE RESTRICT,
    input          json,
    context_window integer,
    max_tokens     integer,
    reasoning      boolean,
    cost           json,
    enabled        boolean NOT NULL DEFAULT true,
    created_by     text REFERENCES users ON DELETE SET NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX org_models_org ON org_models (org_id);
CREATE INDEX org_models_credential ON org_models (credential_id);

-- Runs ----------------------------------------------------------------------------------------

-- A server process that executes runs. Its runs are failed when another boot takes its name, or
-- when its lease has run out.
CREATE TABLE instances (
    id          text PRIMARY KEY,
    boot_id     text NOT NULL,
    lease_until timestamptz NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now()
);

-- 1, 2, 3 … per agent and application. The row's lock makes numbers unique without counting runs.
CREATE TABLE run_counters (
    application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
    package_id     text NOT NULL,
    last_number    integer NOT NULL,
    PRIMARY KEY (application_id, package_id)
);

CREATE TABLE runs (
    id                    text PRIMARY KEY,
    org_id                text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    application_id        text NOT NULL REFERENCES applications ON DELETE CASCADE,
    package_id            text REFERENCES packages ON DELETE SET NULL,
    -- Snapshots, so that a run of a deleted agent still has a name.
    agent_scope           text NOT NULL,
    agent_name            text NOT NULL,
    run_number            integer NOT NULL,
    run_origin            text NOT NULL DEFAULT 'platform' CHECK (run_origin IN ('platform', 'remote')),
    user_id               text REFERENCES users ON DELETE SET NULL,
    api_key_id            text REFERENCES api_keys ON DELETE SET NULL,
    status                text NOT NULL DEFAULT 'pending' CHECK (
        status IN ('pending', 'running', 'success', 'failed', 'timeout', 'cancelled')
    ),
    input                 json,
    result                json,
    error                 text,
    checkpoint            json,
    artifacts             json,
    metadata              json,
    token_usage           json,
    cost                  double precision CHECK (cost >= 0),
    cost_pricing_status   text CHECK (cost_pricing_status IN ('priced', 'partial', 'unpriced')),
    version_label         text NOT NULL,
    version_ref           text NOT NULL,
    model_label           text,
    model_source          text,
    model_credential_id   text REFERENCES model_provider_credentials ON DELETE SET NULL,
    runner_name           text,
    runner_kind           text,
    -- Everything needed to execute the run, without secrets; kept until it has ended.
    plan                  json,
    -- What the output must look like, as it was when the run was launched.
    output_schema         json,
    -- Who executes it: set when the run is started, so a pending run belongs to nobody.
    instance_id           text,
    boot_id               text,
    deadline_at           timestamptz,
    started_at            timestamptz NOT NULL DEFAULT now(),
    completed_at          timestamptz,
    duration              integer
);
CREATE INDEX runs_application ON runs (application_id, started_at DESC);
CREATE INDEX runs_package ON runs (application_id, package_id, started_at DESC);
CREATE INDEX runs_active ON runs (org_id, status) WHERE status IN ('pending', 'running');

-- The signed event sink of a run: its secret, its cursor and its last sign of life. It is a table
-- of its own because it changes with every event: the row is narrow, no index covers what
-- changes, and half of each page is left free, so updates stay on their page. Its lock is the lock
-- of the run: whoever appends to the run's log holds it, so the log commits in the order of ids.
CREATE TABLE run_sinks (
    run_id           text PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    org_id           text NOT NULL,
    secret_encrypted text NOT NULL,
    expires_at       timestamptz NOT NULL,
    closed_at        timestamptz,
    last_sequence    integer NOT NULL DEFAULT 0,
    log_position     integer NOT NULL DEFAULT 0,
    -- How many events wait for their predecessors. Here, and not counted, because whoever waits
    -- for this row's lock sees its newest version, but other tables as they were before.
    early_events     integer NOT NULL DEFAULT 0,
    touched_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX run_sinks_open ON run_sinks (run_id) WHERE closed_at IS NULL;

-- Message ids a run has used, so that one is never handled twice. Emptied when the run ends.
CREATE TABLE run_messages (
    run_id     text NOT NULL REFERENCES runs ON DELETE CASCADE,
    message_id text NOT NULL,
    PRIMARY KEY (run_id, message_id)
);

-- Events that arrived before their predecessors.
CREATE TABLE run_early_events (
    run_id      text NOT NULL REFERENCES runs ON DELETE CASCADE,
    sequence    integer NOT NULL,
    message_id  text NOT NULL,
    event       json NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, sequence)
);

CREATE TABLE run_logs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     text NOT NULL REFERENCES runs ON DELETE CASCADE,
    org_id     text NOT NULL,
    -- 1, 2, 3 … within the run: a reader who misses one knows it.
    position   integer NOT NULL,
    type       text NOT NULL DEFAULT 'progress',
    level      text NOT NULL DEFAULT 'debug' CHECK (level IN ('debug', 'info', 'warn', 'error')),
    event      text,
    message    text,
    data       json,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX run_logs_run ON run_logs (run_id, id);
