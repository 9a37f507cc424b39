-- Which way an agent's requests leave: a proxy, or `none` for none at all.
ALTER TABLE application_packages ADD COLUMN proxy_id text;
