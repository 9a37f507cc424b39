-- Models of catalogues, aliases, and what models have cost.

ALTER TABLE model_provider_credentials ADD COLUMN available_model_ids json;

ALTER TABLE org_models ADD COLUMN aliased boolean NOT NULL DEFAULT false;
-- Models that are added together keep their order.
ALTER TABLE org_models ADD COLUMN position bigint GENERATED ALWAYS AS IDENTITY;
