-- compatible
-- Jobs of the queue. A job that somebody holds is one that is due when its lease runs out: whoever
-- finds it due may take it, and only who has its token may end it.
CREATE TABLE jobs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic      text NOT NULL,
    payload    json,
    key        text,
    due_at     timestamptz NOT NULL,
    token      text,
    attempts   integer NOT NULL DEFAULT 0,
    error      text,
    created_at timestamptz NOT NULL,
    died_at    timestamptz
);
CREATE INDEX jobs_due ON jobs (topic, due_at, id) WHERE died_at IS NULL;
CREATE UNIQUE INDEX jobs_key ON jobs (topic, key) WHERE key IS NOT NULL AND died_at IS NULL;
CREATE INDEX jobs_dead ON jobs (died_at DESC) WHERE died_at IS NOT NULL;
