-- compatible
-- Whoever changes documents locks runs first, then documents, then organizations, each in the
-- order of their ids: a file that is published while another one is deleted waits for that.
CREATE OR REPLACE FUNCTION count_gone_documents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM runs WHERE id IN (SELECT run_id FROM gone WHERE purpose = 'agent_output')
    ORDER BY id FOR NO KEY UPDATE;
    UPDATE runs r SET
        documents_out = greatest(0, documents_out - g.number),
        primary_document_id = CASE WHEN g.leading THEN NULL ELSE primary_document_id END
    FROM (
        SELECT run_id, count(*)::integer AS number, bool_or(presentation = 'primary') AS leading
        FROM gone WHERE purpose = 'agent_output' GROUP BY run_id
    ) g WHERE r.id = g.run_id;
    PERFORM FROM organizations WHERE id IN (SELECT org_id FROM gone) ORDER BY id FOR NO KEY UPDATE;
    UPDATE organizations o SET documents_bytes_used = greatest(0, documents_bytes_used - g.size)
    FROM (SELECT org_id, sum(size)::bigint AS size FROM gone GROUP BY org_id) g
    WHERE o.id = g.org_id;
    RETURN NULL;
END $$;

-- Those that few of many documents fit are found without a look at all of them.
CREATE INDEX documents_purpose ON documents (application_id, purpose, created_at DESC, id DESC);
CREATE INDEX documents_package ON documents (application_id, package_id, created_at DESC, id DESC);
