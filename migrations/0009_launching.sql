-- What a launch may choose, and runs of agents that are no packages.

ALTER TABLE runs
    -- How the model was asked to generate, and what of it this launch asked for.
    ADD COLUMN generation           json,
    ADD COLUMN generation_override  json,
    ADD COLUMN connection_overrides json,
    ADD COLUMN dependency_overrides json,
    ADD COLUMN proxy_label          text,
    ADD COLUMN context_snapshot     json,
    -- An inline run's agent lives in the run itself, as @inline/r-…, and nowhere else.
    ADD COLUMN package_ephemeral    boolean NOT NULL DEFAULT false,
    ADD COLUMN inline_manifest      json,
    ADD COLUMN inline_prompt        text;
