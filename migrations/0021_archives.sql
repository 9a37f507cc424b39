-- compatible
-- An archive that nothing names any more leaves with the row that named it, also when that goes
-- with its organization. Whether something else names it is looked at when it is deleted.
CREATE FUNCTION archive_blob(integrity text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'packages/' || encode(decode(substr(integrity, 8), 'base64'), 'hex') || '.afps'
$$;

CREATE FUNCTION delete_archives_of_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO jobs (topic, payload, due_at, created_at)
    SELECT 'storage.delete', json_build_object('key', archive_blob(integrity)), now(), now()
    FROM (SELECT DISTINCT integrity FROM gone) named;
    RETURN NULL;
END $$;

CREATE FUNCTION delete_archives_of_drafts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO jobs (topic, payload, due_at, created_at)
    SELECT 'storage.delete', json_build_object('key', archive_blob(draft_archive)), now(), now()
    FROM (SELECT DISTINCT draft_archive FROM gone WHERE draft_archive IS NOT NULL) named;
    RETURN NULL;
END $$;

CREATE TRIGGER package_versions_gone AFTER DELETE ON package_versions
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_archives_of_versions();
CREATE TRIGGER packages_gone AFTER DELETE ON packages
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_archives_of_drafts();
