-- compatible
-- Runs by their end, for whoever deletes what is old.
CREATE INDEX runs_completed ON runs (completed_at) WHERE completed_at IS NOT NULL;
