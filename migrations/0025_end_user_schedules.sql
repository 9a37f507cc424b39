-- compatible
-- Schedules run for a member, or for an end user of their application, and go with that one.
ALTER TABLE schedules ADD COLUMN end_user_id text REFERENCES end_users ON DELETE CASCADE;
CREATE INDEX schedules_end_user ON schedules (end_user_id) WHERE end_user_id IS NOT NULL;
