-- What lasts from one run to the next, and the end users some of it belongs to.

-- People whom an application serves, as the application knows them. They do not sign in here.
CREATE TABLE end_users (
    id             text PRIMARY KEY,
    org_id         text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
    external_id    text,
    name           text,
    email          text,
    metadata       json NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX end_users_external ON end_users (application_id, external_id)
    WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX end_users_email ON end_users (application_id, lower(email))
    WHERE email IS NOT NULL;
CREATE INDEX end_users_order ON end_users (application_id, created_at DESC, id DESC);

-- A run is for a user or for an end user, and for neither once that one is gone.
ALTER TABLE runs ADD COLUMN end_user_id text REFERENCES end_users ON DELETE SET NULL;
ALTER TABLE runs ADD CONSTRAINT runs_actor CHECK (user_id IS NULL OR end_user_id IS NULL);
CREATE INDEX runs_end_user ON runs (end_user_id, started_at DESC) WHERE end_user_id IS NOT NULL;

-- What agents keep: notes, and slots that have a key. It belongs to a user or an end user of an
-- agent, or is shared by all of them when it names neither.
CREATE TABLE package_persistence (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id         text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
    package_id     text NOT NULL REFERENCES packages ON DELETE CASCADE,
    user_id        text REFERENCES users ON DELETE CASCADE,
    end_user_id    text REFERENCES end_users ON DELETE CASCADE,
    key            text CHECK (key ~ '^[a-z0-9_]{1,64}$'),
    pinned         boolean NOT NULL,
    content        json NOT NULL,
    run_id         text REFERENCES runs ON DELETE SET NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (user_id IS NULL OR end_user_id IS NULL),
    CHECK (key IS NULL OR pinned)
);
CREATE UNIQUE INDEX package_persistence_slot
    ON package_persistence (application_id, package_id, coalesce(user_id, end_user_id, ''), key)
    WHERE key IS NOT NULL;
CREATE INDEX package_persistence_agent ON package_persistence (application_id, package_id);
CREATE INDEX package_persistence_package ON package_persistence (package_id);
CREATE INDEX package_persistence_run ON package_persistence (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX package_persistence_end_user ON package_persistence (end_user_id)
    WHERE end_user_id IS NOT NULL;
