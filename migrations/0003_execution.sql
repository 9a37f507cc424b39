-- When a run that was started must have sent its first event.
ALTER TABLE run_sinks ADD COLUMN boot_deadline_at timestamptz;

-- instance_id and boot_id of a pending run are a claim: whoever made it is about to start it. It is
-- worth nothing once that boot of that instance is dead.
CREATE INDEX runs_running ON runs (deadline_at) WHERE status = 'running';
