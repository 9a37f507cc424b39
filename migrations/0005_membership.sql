-- Profiles, invitations, the settings of organizations, and who owns the platform.

ALTER TABLE users
    -- Null until somebody chose one: then the name they signed up with is shown.
    ADD COLUMN display_name text,
    ADD COLUMN language     text NOT NULL DEFAULT 'fr' CHECK (language IN ('fr', 'en'));

ALTER TABLE organizations
    ADD COLUMN settings              json NOT NULL DEFAULT '{}',
    -- A running counter, kept by whoever adds or removes documents. A null limit is no limit.
    ADD COLUMN documents_bytes_used  bigint NOT NULL DEFAULT 0,
    ADD COLUMN documents_bytes_limit bigint;

CREATE TABLE org_invitations (
    id          text PRIMARY KEY,
    org_id      text NOT NULL REFERENCES organizations ON DELETE CASCADE,
    -- Shown to those who may invite, who pass it on; it is of use to the owner of the address only.
    token       text NOT NULL UNIQUE,
    email       text NOT NULL CHECK (email = lower(email)),
    role        text NOT NULL CHECK (role IN ('admin', 'member', 'viewer')),
    status      text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'accepted', 'cancelled')),
    invited_by  text REFERENCES users ON DELETE SET NULL,
    accepted_by text REFERENCES users ON DELETE SET NULL,
    expires_at  timestamptz NOT NULL,
    accepted_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX org_invitations_pending ON org_invitations (org_id, email)
    WHERE status = 'pending';
CREATE INDEX org_invitations_email ON org_invitations (email) WHERE status = 'pending';

-- Who claimed the platform: one row at most. Without it the claim is open.
CREATE TABLE platform_owner (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    user_id    text NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE,
    claimed_at timestamptz NOT NULL DEFAULT now()
);
