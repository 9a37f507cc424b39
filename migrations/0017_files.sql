-- compatible
-- Files of people and of runs. Their bytes are blobs, told of by `storage_key` alone; a row that
-- goes, whoever takes it away, leaves a job behind that deletes its blob.

-- A file on its way in. Without a storage_key its bytes have not come yet.
CREATE TABLE uploads (
    id             text PRIMARY KEY,
    org_id         text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
    created_by     text REFERENCES users ON DELETE SET NULL,
    end_user_id    text REFERENCES end_users ON DELETE CASCADE,
    storage_key    text UNIQUE,
    name           text NOT NULL,
    mime           text NOT NULL,
    size           bigint NOT NULL CHECK (size >= 0),
    -- Announced, or measured once the bytes have come.
    sha256         text,
    expires_at     timestamptz NOT NULL,
    consumed_at    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX uploads_org ON uploads (org_id, expires_at);
CREATE INDEX uploads_application ON uploads (application_id);
CREATE INDEX uploads_user ON uploads (created_by);
CREATE INDEX uploads_end_user ON uploads (end_user_id) WHERE end_user_id IS NOT NULL;
CREATE INDEX uploads_expiry ON uploads (expires_at);

CREATE TABLE documents (
    id             text PRIMARY KEY,
    org_id         text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    application_id text NOT NULL REFERENCES applications ON DELETE CASCADE,
    purpose        text NOT NULL CHECK (purpose IN ('user_upload', 'agent_output')),
    -- The run it came in with, or out of.
    run_id         text REFERENCES runs ON DELETE CASCADE,
    package_id     text,
    user_id        text REFERENCES users ON DELETE SET NULL,
    end_user_id    text REFERENCES end_users ON DELETE CASCADE,
    storage_key    text NOT NULL UNIQUE,
    name           text NOT NULL,
    mime           text NOT NULL,
    size           bigint NOT NULL CHECK (size >= 0),
    sha256         text NOT NULL,
    presentation   text CHECK (presentation = 'primary'),
    -- Null: it is kept.
    expires_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (presentation IS NULL OR (purpose = 'agent_output' AND run_id IS NOT NULL))
);
CREATE INDEX documents_application ON documents (application_id, created_at DESC, id DESC);
CREATE INDEX documents_org ON documents (org_id);
CREATE INDEX documents_run ON documents (run_id);
CREATE INDEX documents_user ON documents (user_id);
CREATE INDEX documents_end_user ON documents (end_user_id) WHERE end_user_id IS NOT NULL;
CREATE INDEX documents_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE UNIQUE INDEX documents_outputs ON documents (run_id, sha256, name)
    WHERE purpose = 'agent_output';
CREATE UNIQUE INDEX documents_primary ON documents (run_id) WHERE presentation = 'primary';

-- Which runs read which documents, and under what name.
CREATE TABLE document_links (
    document_id     text NOT NULL REFERENCES documents ON DELETE CASCADE,
    consumer_run_id text NOT NULL REFERENCES runs ON DELETE CASCADE,
    position        integer NOT NULL,
    workspace_name  text NOT NULL,
    PRIMARY KEY (document_id, consumer_run_id, workspace_name)
);
CREATE UNIQUE INDEX document_links_run ON document_links (consumer_run_id, workspace_name);

ALTER TABLE runs
    ADD COLUMN documents_in        integer NOT NULL DEFAULT 0,
    ADD COLUMN documents_out       integer NOT NULL DEFAULT 0,
    ADD COLUMN primary_document_id text;

CREATE FUNCTION delete_blobs_of_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO jobs (topic, payload, due_at, created_at)
    SELECT 'storage.delete', json_build_object('key', storage_key), now(), now()
    FROM gone WHERE storage_key IS NOT NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION count_gone_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE organizations o SET documents_bytes_used = greatest(0, documents_bytes_used - g.size)
    FROM (SELECT org_id, sum(size)::bigint AS size FROM gone GROUP BY org_id) g
    WHERE o.id = g.org_id;
    UPDATE runs r SET
        documents_out = greatest(0, documents_out - g.number),
        primary_document_id = CASE WHEN g.leading THEN NULL ELSE primary_document_id END
    FROM (
        SELECT run_id, count(*)::integer AS number, bool_or(presentation = 'primary') AS leading
        FROM gone WHERE purpose = 'agent_output' GROUP BY run_id
    ) g WHERE r.id = g.run_id;
    RETURN NULL;
END $$;

CREATE TRIGGER uploads_gone AFTER DELETE ON uploads
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_blobs_of_gone();
CREATE TRIGGER documents_gone AFTER DELETE ON documents
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_blobs_of_gone();
CREATE TRIGGER documents_gone_count AFTER DELETE ON documents
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION count_gone_documents();
