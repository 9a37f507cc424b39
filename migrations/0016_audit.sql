-- Administrative changes. What a line tells of may be gone: nothing refers to it but the
-- application it was made in.
CREATE TABLE audit_events (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id         text,
    application_id text REFERENCES applications ON DELETE SET NULL,
    actor_type     text NOT NULL CHECK (actor_type IN ('user', 'api_key')),
    actor_id       text NOT NULL,
    action         text NOT NULL,
    resource_type  text NOT NULL,
    resource_id    text,
    after          json NOT NULL,
    ip             text NOT NULL,
    user_agent     text,
    request_id     text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX audit_events_org ON audit_events (org_id, id DESC);
CREATE INDEX audit_events_actor ON audit_events (actor_id, id DESC);
CREATE INDEX audit_events_application ON audit_events (application_id);
