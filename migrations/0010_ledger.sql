-- What models have cost. A run has one row, with its totals, written anew while it goes on; a call
-- through the platform's own model API has one row each. What an organization has paid outlives
-- its runs. Counters are bigint: a long run reads its cache many times.
CREATE TABLE llm_usage (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source             text NOT NULL CHECK (source IN ('proxy', 'runner')),
    org_id             text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    user_id            text REFERENCES users ON DELETE SET NULL,
    api_key_id         text REFERENCES api_keys ON DELETE SET NULL,
    run_id             text REFERENCES runs ON DELETE SET NULL,
    -- What callers name, and what the provider does.
    model              text,
    real_model         text,
    api                text,
    credential_source  text,
    input_tokens       bigint NOT NULL DEFAULT 0,
    output_tokens      bigint NOT NULL DEFAULT 0,
    cache_read_tokens  bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    cost_usd           double precision NOT NULL DEFAULT 0 CHECK (cost_usd >= 0),
    pricing_status     text NOT NULL CHECK (pricing_status IN ('priced', 'partial', 'unpriced')),
    -- US dollars per million tokens, as they were when it was launched.
    rates              json,
    duration_ms        integer,
    request_id         text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CHECK (source = 'runner' OR request_id IS NOT NULL),
    CHECK (api_key_id IS NULL OR user_id IS NULL)
);
CREATE UNIQUE INDEX llm_usage_runner ON llm_usage (run_id) WHERE source = 'runner';
CREATE UNIQUE INDEX llm_usage_request ON llm_usage (request_id) WHERE source = 'proxy';
CREATE INDEX llm_usage_run ON llm_usage (run_id);
CREATE INDEX llm_usage_org ON llm_usage (org_id, created_at);
