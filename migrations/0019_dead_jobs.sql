-- compatible
-- Jobs of a group, of which a taker may want few at once: an organization whose receivers hang
-- must not hold up the deliveries of others.
ALTER TABLE jobs ADD COLUMN group_id text;
CREATE INDEX jobs_held ON jobs (topic, group_id) WHERE token IS NOT NULL;
