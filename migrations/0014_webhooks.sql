-- compatible
-- Who is told over HTTP what happens to runs. The package is no reference: a webhook of one agent
-- must not become one of all agents when that is deleted.
CREATE TABLE webhooks (
    id                 text PRIMARY KEY,
    org_id             text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    -- None: of the whole organization.
    application_id     text REFERENCES applications ON DELETE CASCADE,
    url                text NOT NULL,
    events             text[] NOT NULL,
    package_id         text,
    payload_mode       text NOT NULL DEFAULT 'full' CHECK (payload_mode IN ('full', 'summary')),
    enabled            boolean NOT NULL DEFAULT true,
    secret_encrypted   text NOT NULL,
    -- The secret before the last rotation, and until when it signs along.
    previous_encrypted text,
    previous_until     timestamptz,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL
);
CREATE INDEX webhooks_org ON webhooks (org_id, application_id);

-- What a webhook is told: the same bytes at every attempt. Gone with its run, whose data it holds.
CREATE TABLE webhook_events (
    id           text PRIMARY KEY,
    webhook_id   text NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    run_id       text REFERENCES runs ON DELETE CASCADE,
    type         text NOT NULL,
    body         text NOT NULL,
    created_at   timestamptz NOT NULL,
    delivered_at timestamptz
);
CREATE INDEX webhook_events_webhook ON webhook_events (webhook_id);
CREATE INDEX webhook_events_run ON webhook_events (run_id);

-- One row for each attempt.
CREATE TABLE webhook_deliveries (
    id          text PRIMARY KEY,
    webhook_id  text NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event_id    text NOT NULL,
    event_type  text NOT NULL,
    status      text NOT NULL CHECK (status IN ('success', 'failed')),
    status_code integer,
    latency     integer NOT NULL,
    attempt     integer NOT NULL,
    error       text,
    created_at  timestamptz NOT NULL
);
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id, created_at DESC, id DESC);

-- What users are told when they look: a row for each run that has ended, until they have read it.
CREATE TABLE notifications (
    id             text PRIMARY KEY,
    org_id         text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
    recipient_type text NOT NULL CHECK (recipient_type IN ('user', 'end_user')),
    recipient_id   text NOT NULL,
    type           text NOT NULL,
    run_id         text NOT NULL REFERENCES runs ON DELETE CASCADE,
    payload        json NOT NULL,
    read_at        timestamptz,
    created_at     timestamptz NOT NULL,
    UNIQUE (run_id, recipient_type, recipient_id, type)
);
CREATE INDEX notifications_recipient
    ON notifications (application_id, recipient_type, recipient_id, created_at DESC, id DESC);
CREATE INDEX notifications_unread
    ON notifications (application_id, recipient_type, recipient_id) WHERE read_at IS NULL;
