-- compatible
-- The oldest due time of each schedule is found without reading those that wait behind it. By the
-- index there was, whoever thinks that few are due would read all of them for each.
CREATE INDEX schedule_fires_first ON schedule_fires (schedule_id, due_at) WHERE state = 'due';
DROP INDEX schedule_fires_due;
