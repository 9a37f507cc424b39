"""The routes of the HTTP contract, by subject: C is core, S secondary, N niche.

`{type}` stands for agents, skills, integrations and mcp-servers. A name in braces is any variable.
"""

SUBJECTS = """
# Health, documents, app shell
C GET /health
C GET /api/openapi.json
S GET /api/docs
N GET /llms.txt
S GET /

# Accounts
C POST /api/auth/sign-up/email
C POST /api/auth/sign-in/email
C POST /api/auth/sign-out
C GET /api/auth/get-session
S POST /api/auth/bootstrap/redeem
S POST /api/welcome/setup
S GET, PATCH /api/profile
N POST /api/profile/password
N POST /api/profiles/batch
S GET /api/me/orgs
S GET /api/me/connections
S DELETE /api/me/connections/{connection}
N GET, PUT, DELETE /api/me/integration-pins
S GET /api/me/context

# Organizations
C GET, POST /api/orgs
S GET, PUT, DELETE /api/orgs/{org}
S POST /api/orgs/{org}/members
S PUT, DELETE /api/orgs/{org}/members/{user}
S PUT, DELETE /api/orgs/{org}/invitations/{invitation}
S GET, PUT /api/orgs/{org}/settings
S GET /invite/{token}/info
S POST /invite/{token}/accept

# Applications
C GET /api/applications
S POST /api/applications
S GET, PATCH, DELETE /api/applications/{application}
C GET, POST /api/applications/{application}/packages
C GET, PUT, DELETE /api/applications/{application}/packages/{scope}/{name}
S GET /api/applications/{application}/packages/{scope}/{name}/run-config

# API keys
C GET, POST /api/api-keys
S GET /api/api-keys/available-scopes
C DELETE /api/api-keys/{key}

# Packages
C POST /api/packages/import
S POST /api/packages/import-bundle
S POST /api/packages/import-github
C GET, POST /api/packages/{type}
C GET, PUT, DELETE /api/packages/{type}/{scope}/{name}
C GET, POST /api/packages/{type}/{scope}/{name}/versions
S GET /api/packages/{type}/{scope}/{name}/versions/info
S GET, DELETE /api/packages/{type}/{scope}/{name}/versions/{version}
S POST /api/packages/{type}/{scope}/{name}/versions/{version}/restore
S POST /api/packages/{scope}/{name}/fork
S GET /api/packages/{scope}/{name}/files
S GET /api/packages/{scope}/{name}/files/content
S GET /api/packages/{scope}/{name}/{version}/download

# Agents
C GET /api/agents
C PUT /api/agents/{scope}/{name}/input-settings
C GET, PUT /api/agents/{scope}/{name}/model
S GET, PUT /api/agents/{scope}/{name}/proxy
C GET /api/agents/{scope}/{name}/connection-readiness
S PUT /api/agents/{scope}/{name}/skills
S GET, DELETE /api/agents/{scope}/{name}/persistence
S DELETE /api/agents/{scope}/{name}/persistence/memories/{memory}
S DELETE /api/agents/{scope}/{name}/persistence/pinned/{slot}
S GET /api/agents/{scope}/{name}/bundle

# Launching runs
C POST /api/agents/{scope}/{name}/run
C POST /api/runs/inline
S POST /api/runs/inline/validate
S POST /api/runs/remote
S PATCH /api/runs/{run}/sink/extend

# Reading and controlling runs
C GET /api/runs
C GET /api/agents/{scope}/{name}/runs
C GET /api/runs/{run}
C GET /api/runs/{run}/logs
C POST /api/runs/{run}/cancel
S DELETE /api/agents/{scope}/{name}/runs

# Streams
C GET /api/realtime/runs/{run}
C GET /api/realtime/runs
S GET /api/realtime/agents/{package}/runs

# Schedules
C GET /api/schedules
C GET, POST /api/agents/{scope}/{name}/schedules
C GET, PUT, DELETE /api/schedules/{schedule}
C GET /api/schedules/{schedule}/runs

# Models
C GET, POST /api/models
C POST /api/models/seed
C PUT /api/models/default
S POST /api/models/test
S POST /api/models/{model}/test
C PUT, DELETE /api/models/{model}
N GET /api/models/openrouter

# Model provider credentials
C GET /api/model-provider-credentials/registry
C GET, POST /api/model-provider-credentials
C PUT, DELETE /api/model-provider-credentials/{credential}
S POST /api/model-provider-credentials/test
S POST /api/model-provider-credentials/{credential}/test
S POST /api/model-provider-credentials/{credential}/refresh-models
N POST /api/model-providers-oauth/pairing
N GET, DELETE /api/model-providers-oauth/pairing/{pairing}
N POST /api/model-providers-oauth/pair/redeem

# Proxies
S GET, POST /api/proxies
S PUT /api/proxies/default
S POST /api/proxies/{proxy}/test
S PUT, DELETE /api/proxies/{proxy}

# Uploads and documents
C POST /api/uploads
C PUT /api/uploads/_content
C GET /api/documents
C GET /api/documents/{document}
C GET /api/documents/{document}/content
S DELETE /api/documents/{document}
S POST /api/documents/{document}/keep
S GET /preview/documents/{document}
N GET /api/admin/storage-deletion-jobs
N POST /api/admin/storage-deletion-jobs/{job}/retry

# End users
S GET, POST /api/end-users
S GET, PATCH, DELETE /api/end-users/{user}

# Webhooks
S GET, POST /api/webhooks
S GET, PUT, DELETE /api/webhooks/{webhook}
S POST /api/webhooks/{webhook}/test
S POST /api/webhooks/{webhook}/rotate
S GET /api/webhooks/{webhook}/deliveries

# Notifications
S GET /api/notifications
S GET /api/notifications/unread-count
S GET /api/notifications/unread-counts-by-agent
S PUT /api/notifications/{notification}/read
S PUT /api/notifications/read/{run}
S PUT /api/notifications/read-all

# Integrations and connections
C GET /api/integrations
C GET /api/integrations/{package}
C POST /api/integrations/{package}/activate
C DELETE /api/integrations/{package}/deactivate
C POST /api/integrations/{package}/auths/{auth}/connect/fields
C POST /api/integrations/{package}/auths/{auth}/connect/oauth2
C GET /api/integrations/callback
S POST /api/integrations/{package}/auths/{auth}/connect/session
S GET /api/integrations/connect/start
S GET /api/integrations/connect/context
S POST /api/integrations/connect/submit
C GET /api/integrations/{package}/connections
C PATCH /api/integrations/{package}/connections/{connection}
S GET /api/integrations/{package}/auths/{auth}/clients
S POST /api/integrations/{package}/auths/{auth}/oauth-clients
S PUT, DELETE /api/integrations/{package}/auths/{auth}/oauth-clients/{client}
S PUT /api/integrations/{package}/auths/{auth}/default-client
S GET, PUT, DELETE /api/integrations/{package}/default
S GET /api/integrations/{package}/pins
S PUT, DELETE /api/integrations/{package}/pins/{agent}
S PATCH /api/integrations/{package}/settings
N GET /api/integrations/{package}/consuming-agents

# Proxies for credentials and models
N POST /api/credential-proxy/proxy
S POST /api/llm-proxy/openai-completions/v1/chat/completions
S POST /api/llm-proxy/anthropic-messages/v1/messages
S POST /api/llm-proxy/mistral-conversations/v1/chat/completions

# Library
S GET /api/library

# What runs call
C POST /api/runs/{run}/events
C POST /api/runs/{run}/events/finalize
C POST /api/runs/{run}/events/heartbeat
C GET /api/runs/{run}/workspace
C GET, POST /api/runs/{run}/documents
C GET /api/runs/{run}/documents/{document}
S GET /internal/run-history
S GET /internal/memories
S GET /internal/integration-credentials/{scope}/{name}
S POST /internal/integration-credentials/{scope}/{name}/refresh
N GET /internal/oauth-token/{credential}
N POST /internal/oauth-token/{credential}/refresh
S GET /internal/mcp-server-bundle/{scope}/{name}

# MCP, chat, OIDC
N POST /api/mcp/o/{org}
N POST /api/chat
N GET /api/chat/sessions
N GET /api/oauth/clients
"""
