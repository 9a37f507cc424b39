-- Requests that are carried out once, however often they are sent. A row without an answer is
-- being carried out by `holder`, in a life of an instance whose lease shows that it still lives.
CREATE TABLE idempotency_keys (
    scope            text NOT NULL,
    method           text NOT NULL,
    path             text NOT NULL,
    key              text NOT NULL,
    holder           text NOT NULL,
    instance_id      text NOT NULL,
    boot_id          text NOT NULL,
    answer_encrypted text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    PRIMARY KEY (scope, method, path, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
