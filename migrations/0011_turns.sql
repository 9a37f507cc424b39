-- When an organization's run was last given a place: organizations take turns.
CREATE TABLE run_turns (
    org_id    text PRIMARY KEY REFERENCES organizations ON DELETE CASCADE,
    served_at timestamptz NOT NULL
);
