CREATE TABLE schedules (
    id                         text PRIMARY KEY,
    org_id                     text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    application_id             text NOT NULL REFERENCES applications ON DELETE CASCADE,
    package_id                 text NOT NULL REFERENCES packages ON DELETE CASCADE,
    user_id                    text REFERENCES users ON DELETE CASCADE,
    name                       text,
    enabled                    boolean NOT NULL DEFAULT true,
    disabled_reason            text,
    cron_expression            text NOT NULL,
    timezone                   text NOT NULL,
    input                      json,
    model_id_override          text,
    generation_config_override json,
    proxy_id_override          text,
    version_override           text,
    connection_overrides       json,
    dependency_overrides       json,
    overlap_policy             text NOT NULL CHECK (overlap_policy IN ('allow', 'skip')),
    misfire_policy             text NOT NULL CHECK (misfire_policy IN ('skip', 'once')),
    last_run_at                timestamptz,
    -- The first due time that has no row yet; null while it is disabled, or will never be due.
    next_run_at                timestamptz,
    created_at                 timestamptz NOT NULL DEFAULT now(),
    updated_at                 timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schedules_application ON schedules (application_id, created_at);
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;

-- Every due time of an enabled schedule is a row here: the primary key is what makes a fire happen
-- once. A due one is held by whoever claimed it until its lease runs out.
CREATE TABLE schedule_fires (
    schedule_id text NOT NULL REFERENCES schedules ON DELETE CASCADE,
    due_at      timestamptz NOT NULL,
    state       text NOT NULL CHECK (state IN ('due', 'fired', 'skipped', 'refused')),
    reason      text,
    run_id      text REFERENCES runs ON DELETE SET NULL,
    lease_until timestamptz,
    PRIMARY KEY (schedule_id, due_at)
);
CREATE INDEX schedule_fires_due ON schedule_fires (due_at) WHERE state = 'due';

ALTER TABLE runs ADD COLUMN schedule_id text REFERENCES schedules ON DELETE SET NULL;
CREATE INDEX runs_schedule ON runs (schedule_id, started_at DESC) WHERE schedule_id IS NOT NULL;
