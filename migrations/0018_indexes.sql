-- compatible
-- What refers to a package, an application, a key, a credential, a version or a run is found
-- without reading whole tables, for deleting one of them has to.
DROP INDEX runs_package;
CREATE INDEX runs_package ON runs (package_id, application_id, started_at DESC);
CREATE INDEX runs_api_key ON runs (api_key_id) WHERE api_key_id IS NOT NULL;
CREATE INDEX runs_credential ON runs (model_credential_id) WHERE model_credential_id IS NOT NULL;
CREATE INDEX llm_usage_api_key ON llm_usage (api_key_id) WHERE api_key_id IS NOT NULL;
CREATE INDEX schedule_fires_run ON schedule_fires (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX schedules_package ON schedules (package_id);
CREATE INDEX package_dist_tags_version ON package_dist_tags (version_id);
CREATE INDEX application_packages_version ON application_packages (version_id)
    WHERE version_id IS NOT NULL;
CREATE INDEX webhooks_application ON webhooks (application_id) WHERE application_id IS NOT NULL;
-- Nothing asks for open sinks by their run, and every end of a run had to change it.
DROP INDEX run_sinks_open;
