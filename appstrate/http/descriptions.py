"""What names in the API document mean, where they do not say so themselves."""

ABOUT = """Every operation but the public ones needs a session or an API key.

An API key goes into the header `Authorization`, as `Bearer ask_…`; it implies its organization \
and application. `appstrate keys add` makes one. A session is the cookie that `/api/auth/sign-in/\
email` sets; it needs the headers `X-Org-Id` and, where an application matters, `X-Application-Id`.

A backend acts for one of its users with the header `Appstrate-User` (`eu_…`) beside its API key: \
it then launches and finds only what is that end user's.

Whatever is refused is answered with a problem document (RFC 9457): `code` is for programs, \
`detail` for people, `param` and `errors` name the fields."""

PATH = {
    "scope": "The scope of the package, with or without its `@`.",
    "name": "The name of the package, without its scope.",
    "package": "The package, as `@scope/name` with `/` written `%2F`.",
    "version": "A version, a tag such as `latest`, or a range such as `^1.2`.",
    "tag": "The name of the tag.",
    "org": "The id of the organization.",
    "user": "The id of the member.",
    "invitation": "The id of the invitation.",
    "token": "The token of the invitation.",
    "application": "The id of the application: `app_…`.",
    "key": "The id of the API key, not the key itself.",
    "end_user": "The id of the end user: `eu_…`.",
    "credential": "The id of the credential.",
    "model": "The id of the model.",
    "run": "The id of the run: `run_…`.",
    "schedule": "The id of the schedule: `sched_…`.",
    "webhook": "The id of the webhook: `wh_…`.",
    "delivery": "The id of the delivery, as the list of deliveries has it.",
    "notification": "The id of the notification.",
    "document": "The id of the document: `doc_…`.",
    "file": "The id of the file.",
    "memory": "The id of the memory, as the list has it.",
    "slot": "The id of the pinned entry, as the list has it.",
    "job": "The id of the job, as the list has it.",
}

# By the name of a field; one of a single schema by both names.
FIELDS = {
    "actor_id": "The id of the user, end user or API key.",
    "actor_type": "Whose it is.",
    "attempts": "How often it was tried.",
    "connection_overrides": "Integration to connection id; there are none to name yet.",
    "cron_expression": "Five fields, six with seconds in front, or `@daily` and the like.",
    "dependency_overrides": "Skill to a version, tag, range or `draft`, instead of the manifest's.",
    "diedAt": "When it was given up.",
    "installed_in": "The ids of the applications it is installed in.",
    "misfire_policy": "Due times that were missed: `skip` them, or run `once` for all of them.",
    "overlap_policy": "At a due time while an earlier run is active: `allow` another, or `skip`.",
    "payloadMode": "`full`, or `summary`, which leaves out input and result.",
    "timezone": "Of the IANA database, such as `Europe/Paris`.",
    "ActorSpec.user_id": "A member of the organization. Give this or `end_user_id`.",
    "ActorSpec.end_user_id": "An end user of the application. Give this or `user_id`.",
    "ActorState.waiting": "Messages in its mailbox now.",
    "ActorState.high_water": "The most that ever waited.",
    "ActorState.refused": "Messages answered with a refusal.",
    "ActorState.failed": "Messages whose handling broke.",
    "ActorState.rejected": "Messages a full mailbox did not take.",
    "ActorState.expired": "Messages whose sender gave up before they were served.",
    "ActorState.dead_letters": "Messages nobody will ever serve.",
    "ActorState.wait_seconds": "How long messages waited, summed.",
    "ActorState.serve_seconds": "How long messages took, summed.",
    "AuditEvent.action": "The name of the operation, as in this document.",
    "AuditEvent.actor_type": "`user` or `api_key`.",
    "AuditEvent.before": "What it was before, where that can be read; nothing secret.",
    "AuditEvent.after": "What was asked for; nothing secret.",
    "AuditEvent.resourceId": "What was changed.",
    "DeadJob.topic": "What kind of work: `webhook.deliver`, `storage.delete`, `retention`.",
    "DeadJob.payload": "What the work was about.",
    "DeadJob.error": "Why the last attempt failed.",
    "Delivery.eventId": "The `webhook-id` the receiver saw; the same at each attempt.",
    "Delivery.statusCode": "What the receiver answered; null when it did not.",
    "Delivery.latency": "Milliseconds until the answer, or until it failed.",
    "Delivery.attempt": "Which attempt of the event it was, from 1.",
    "DocumentView.uri": "What a run's input calls it by: `document://…`.",
    "DocumentView.purpose": "Whether it came in (`user_upload`) or out (`agent_output`).",
    "DocumentView.presentation": "`primary` for the main result of its run.",
    "DocumentView.preview_url": "A link that shows it for a while; where it can be shown at all.",
    "DocumentView.expiresAt": "When it is deleted by itself; null is never.",
    "EndUser.externalId": "What your system calls this user; unique in the application.",
    "EndUserBody.externalId": "What your system calls this user; unique in the application.",
    "EndUserBody.metadata": "Text, numbers and truth values of your own. In a change, keys that "
    "are not named stay.",
    "Entry.key": "The name of a slot; null for a note.",
    "Entry.content": "What is kept, as JSON.",
    "Entry.pinned": "Whether the next run sees it at its start; others are searched for.",
    "Fire.state": "`due` is still to be fired; `fired` made a run; `skipped` and `refused` have a "
    "reason.",
    "Fire.runId": "The run it made.",
    "InlineBody.manifest": "The manifest of the agent, as in a package.",
    "InlineBody.prompt": "What the agent is told to do.",
    "InlineBody.context_documents": "URIs of documents the agent may read beside its input.",
    "LogLine.position": "Which line of its run it is, from 1.",
    "Notification.type": "Such as `run_completed`.",
    "Notification.read_at": "When it was read; null is unread.",
    "Problem.code": "What went wrong, for programs.",
    "Problem.detail": "What went wrong and what to do, for people.",
    "Problem.param": "The field, parameter or header that is wrong.",
    "Problem.errors": "Each problem of each field, when it is about fields.",
    "Problem.requestId": "Names the request in the server's log.",
    "Problem.retryAfter": "In seconds.",
    "Rotation.secret": "The new secret. It is shown this once.",
    "Rotation.secretPrevious": "The secret before it, which signs along for a while.",
    "RotationBody.windowSeconds": "How long the previous secret signs along; a week by default, "
    "30 days at most.",
    "Run.status": "`pending`, `running`, then `success`, `failed`, `timeout` or `cancelled`.",
    "Run.result": "`output` is what the agent delivered; it fits the agent's output schema.",
    "Run.error": "Why it did not succeed.",
    "Run.cost": "US dollars; null when nothing has a price.",
    "Run.cost_pricing_status": "Whether all tokens had a price: `priced`, `partial`, `unpriced`.",
    "Run.duration": "Milliseconds.",
    "Run.runNumber": "Which run of its agent in the application it is, from 1.",
    "Run.version_label": "The version that was run, for people.",
    "Run.version_ref": "The version that was run: a number, `draft` or `inline`.",
    "Run.model_source": "Whose key it uses: `org`, or `system` for the operator's.",
    "Run.runOrigin": "`platform`, or `remote` when it is executed elsewhere.",
    "Run.package_ephemeral": "Whether its agent came with the launch (an inline run).",
    "Run.primary_document_id": "The document the agent named as its main result.",
    "Run.unread": "Whether the caller has an unread notification of it.",
    "RunBody.input": "As the agent's input schema has it. Give this or `rerun_from`.",
    "RunBody.rerun_from": "The id of an earlier run of the agent, whose input is taken.",
    "RunBody.modelId": "The id of a model; without it, the agent's or the default one.",
    "RunBody.proxyId": "`none`, or leave it out: there are no proxies to name yet.",
    "Schedule.disabled_reason": "Why it was disabled, when nobody did it by hand.",
    "Schedule.running_runs": "How many of its runs are active.",
    "Schedule.unread_count": "How many of its runs the caller has unread notifications of.",
    "Schedule.last_run_number": "The `runNumber` of its latest run; 0 before the first.",
    "ScheduleSpec.actor": "Whom it runs for; by default the caller.",
    "ScheduleSpec.input": "As the agent's input schema has it.",
    "ScheduleSpec.version_override": "A version, tag, range or `draft`; without it, the usual one.",
    "ScheduleSpec.model_id_override": "The id of a model; without it, the agent's.",
    "StorageUse.limit_bytes": "The limit of this organization; null leaves it to the server's.",
    "StorageUse.effective_limit_bytes": "The limit that counts; null is none.",
    "UploadBody.size": "In bytes, exactly.",
    "UploadBody.mime": "The media type, such as `text/plain`.",
    "UploadBody.sha256": "In hexadecimal; then what is sent is checked.",
    "UploadView.uri": "What a run's input calls the file by: `upload://…`.",
    "UploadView.url": "Where to send the bytes, with `method` and `headers`; no key is needed.",
    "Webhook.packageId": "Only runs of this agent; null is every agent.",
    "WebhookSpec.level": "`application`: runs of one; `org`: runs of all applications.",
    "WebhookSpec.applicationId": "Needed with a session and the level `application`.",
    "WebhookSpec.url": "By https; private networks are refused.",
    "WebhookSpec.packageId": "Only runs of this agent; without it, of every agent.",
}


def describe(schemas: dict[str, dict[str, object]]) -> None:
    """Give the fields of schemas their descriptions."""
    for schema, described in schemas.items():
        properties = described.get("properties")
        if not isinstance(properties, dict):
            continue
        for name, field in properties.items():
            if told := FIELDS.get(f"{schema}.{name}") or FIELDS.get(name):
                field["description"] = told
