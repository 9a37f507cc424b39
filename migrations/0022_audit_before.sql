-- compatible
-- What was changed, as it was; null where that cannot be read, and for what is new.
ALTER TABLE audit_events ADD COLUMN before json;
