-- compatible
-- A secret signs along until the window it was promised ends, also when the one after it is
-- rotated before that.
ALTER TABLE webhooks ADD COLUMN older_encrypted text, ADD COLUMN older_until timestamptz;
