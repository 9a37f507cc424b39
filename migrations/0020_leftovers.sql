-- compatible
-- How often an event was tried is asked before each attempt, and whether it was at all at night.
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id);
CREATE INDEX webhook_events_created ON webhook_events (created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);
