-- What explains a run: how its program ended, and what it asked of its model.

CREATE TABLE run_exits (
    run_id        text PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    org_id        text NOT NULL,
    -- Exactly one of the two, or neither when nobody saw the end.
    code          integer,
    signal        integer,
    out_of_memory boolean NOT NULL DEFAULT false,
    -- The last lines the program wrote, without the secrets it may have named.
    output        json NOT NULL,
    exited_at     timestamptz NOT NULL
);

-- A row is written when a request begins and completed when it has ended, so that what was under
-- way when the server died is known too.
CREATE TABLE run_model_calls (
    run_id        text NOT NULL REFERENCES runs ON DELETE CASCADE,
    id            text NOT NULL,
    org_id        text NOT NULL,
    started_at    timestamptz NOT NULL,
    duration      integer,
    status        integer,
    input_tokens  integer,
    output_tokens integer,
    error         text,
    PRIMARY KEY (run_id, id)
) WITH (fillfactor = 80);
CREATE INDEX run_model_calls_order ON run_model_calls (run_id, started_at);
