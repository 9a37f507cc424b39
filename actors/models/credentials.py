"""The keys an organization has for providers of models."""

from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never

import msgspec
import structlog

from actors.accounts import Caller
from actors.contract import spell
from actors.egress import Egress
from actors.ids import CredentialId, OrgId, new_uuid
from actors.models.probe import ModelAccess, ModelProbe, Trial
from actors.models.providers import PROVIDERS, endpoint, wire
from actors.models.records import (
    BuiltIn,
    Credential,
    CredentialChanges,
    CredentialRecords,
    CredentialSpec,
    StoredCredential,
)
from actors.models.rules import check_credential, check_key, check_sendable, invalid
from actors.models.views import credential_view
from actors.runtime import Actor, Conflict, Lane, NotFound, Rejected, Request
from actors.vault import Vault, VaultError

log = structlog.get_logger("models")

MOST_MODELS = 2000


class CreateCredential(Request["Credentials", Credential], frozen=True, kw_only=True):
    """Keep a key for a provider, encrypted. It is never given back."""

    caller: Caller
    spec: CredentialSpec


class ListCredentials(Request["Credentials", list[Credential]], frozen=True, kw_only=True):
    """The caller's organization's credentials, oldest first, then the built-in ones."""

    caller: Caller


class UpdateCredential(Request["Credentials", Credential], frozen=True, kw_only=True):
    """Rename a credential, or give it another key."""

    caller: Caller
    credential: CredentialId
    changes: CredentialChanges


class DeleteCredential(Request["Credentials", None], frozen=True, kw_only=True):
    """Forget a key; refuses with `credential_in_use` while a model needs it."""

    caller: Caller
    credential: CredentialId


class TrialSpec(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """A key to be tried before it is kept, or a kept one against another address."""

    api_shape: str
    base_url: str
    api_key: str | None = None
    existing_key_id: CredentialId | None = None


class TestCredential(Request["Credentials", Trial], frozen=True, kw_only=True):
    """Ask a provider whether it takes a key: that of a credential, or one in a spec."""

    caller: Caller
    tried: CredentialId | TrialSpec


class RefreshModels(Request["Credentials", Credential], frozen=True, kw_only=True):
    """Ask the provider which models a key opens, and keep the answer.

    Refuses with `bad_gateway` when the provider does not answer with a list.
    """

    caller: Caller
    credential: CredentialId


class FindCredential(Request["Credentials", Credential], frozen=True, kw_only=True):
    """One credential of an organization; a built-in one counts as missing."""

    org: OrgId
    credential: CredentialId


class OpenModel(Request["Credentials", ModelAccess], frozen=True, kw_only=True):
    """Decrypt the access to a provider. `api_key` is tried instead of the kept one.

    Refuses with `model_credential_missing` what cannot be decrypted.
    """

    org: OrgId
    credential: CredentialId | None
    api_key: str | None = None


CredentialsMessage: TypeAlias = (
    CreateCredential
    | ListCredentials
    | UpdateCredential
    | DeleteCredential
    | TestCredential
    | RefreshModels
    | FindCredential
    | OpenModel
)


class Credentials(Actor):
    """Keeps keys. They are sealed before they reach the records, and leave for the proxy alone."""

    lanes = (
        Lane("trials", 8, (TestCredential, RefreshModels)),
        Lane("credentials", 32),
    )

    def __init__(
        self,
        records: CredentialRecords,
        vault: Vault,
        egress: Egress,
        probe: ModelProbe,
        built_in: BuiltIn,
        *,
        skipped: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._records = records
        self._vault = vault
        self._egress = egress
        self._probe = probe
        self._built_in = built_in
        self._skipped = skipped

    async def started(self) -> None:
        for why in self._skipped:
            log.warning("entry of SYSTEM_PROVIDER_KEYS skipped", why=why)

    async def receive(self, message: CredentialsMessage) -> Any:
        match message:
            case CreateCredential():
                return await self._create(message)
            case ListCredentials():
                found = await self._records.all(message.caller.organization)
                return [credential_view(each) for each in (*found, *self._built_in.credentials)]
            case UpdateCredential():
                return await self._update(message)
            case DeleteCredential():
                return await self._delete(message)
            case TestCredential():
                return await self._test(message)
            case RefreshModels():
                return await self._refresh(message)
            case FindCredential():
                return credential_view(await self._kept(message.org, message.credential))
            case OpenModel():
                stored = await self._find(message.org, message.credential)
                return self._access(stored, message.api_key)
            case _:
                assert_never(message)

    async def _create(self, message: CreateCredential) -> Credential:
        spec = message.spec
        provider = check_credential(spec)
        url = spec.base_url_override or provider.default_base_url
        self._egress.check_url(url, "baseUrlOverride")
        now = datetime.now(UTC)
        stored = StoredCredential(
            id=CredentialId(new_uuid()),
            org_id=message.caller.organization,
            label=((spec.label or "").strip() or provider.display_name)[:100],
            provider_id=provider.provider_id,
            credentials_encrypted=self._vault.seal(spec.api_key.strip()),
            base_url_override=spec.base_url_override,
            created_by=message.caller.user,
            created_at=now,
            updated_at=now,
        )
        await self._records.add(stored)
        return credential_view(stored)

    async def _update(self, message: UpdateCredential) -> Credential:
        stored = await self._own(message.caller.organization, message.credential)
        changes = message.changes
        if changes.label is not None:
            if not changes.label.strip():
                raise invalid("label", "must not be empty")
            stored = msgspec.structs.replace(stored, label=changes.label.strip()[:100])
        if changes.api_key is not None:
            key = changes.api_key.strip()
            check_key(PROVIDERS[stored.provider_id], key)
            stored = msgspec.structs.replace(stored, credentials_encrypted=self._vault.seal(key))
        return await self._written(stored)

    async def _delete(self, message: DeleteCredential) -> None:
        org = message.caller.organization
        self._refuse_built_in(message.credential)
        match await self._records.delete(org, message.credential):
            case "missing":
                raise _missing()
            case "in use":
                what = "a model uses this credential: delete the model, or give it another one"
                raise Conflict(what, code="credential_in_use")
            case "deleted":
                return

    async def _test(self, message: TestCredential) -> Trial:
        org, tried = message.caller.organization, message.tried
        if isinstance(tried, TrialSpec):
            access = await self._spelled_out(org, tried)
        else:
            access = self._access(await self._find(org, tried), None)
        trial, _ = await self._probe.list_models(access)
        return trial

    async def _spelled_out(self, org: OrgId, tried: TrialSpec) -> ModelAccess:
        key, provider = (tried.api_key or "").strip(), "openai-compatible"
        check_sendable(key)
        self._egress.check_url(tried.base_url, "baseUrl")
        if not key and tried.existing_key_id is not None:
            kept = await self._own(org, tried.existing_key_id)
            if tried.base_url.rstrip("/") != credential_view(kept).base_url.rstrip("/"):
                # Whoever may test a key must not thereby be able to have it sent to himself.
                raise invalid("baseUrl", "must be the credential's own when its key is used")
            key = self._unsealed(kept)
            provider = kept.provider_id
        shape = wire(tried.api_shape)
        return ModelAccess(
            base_url=endpoint(shape, tried.base_url),
            api_key=key,
            provider_id=provider,
            api_shape=shape,
        )

    async def _refresh(self, message: RefreshModels) -> Credential:
        stored = await self._own(message.caller.organization, message.credential)
        trial, ids = await self._probe.list_models(self._access(stored, None))
        if not trial.ok:
            raise Rejected(trial.message or "the provider did not answer", code="bad_gateway")
        kept = sorted(set(ids))[:MOST_MODELS]
        return await self._written(msgspec.structs.replace(stored, available_model_ids=kept))

    async def _written(self, stored: StoredCredential) -> Credential:
        changed = msgspec.structs.replace(stored, updated_at=datetime.now(UTC))
        if not await self._records.update(changed):
            raise _missing()
        return credential_view(changed)

    async def _own(self, org: OrgId, credential: CredentialId) -> StoredCredential:
        self._refuse_built_in(credential)
        return await self._find(org, credential)

    def _refuse_built_in(self, credential: CredentialId) -> None:
        if any(each.id == credential for each in self._built_in.credentials):
            what = "a built-in credential is the operator's: it is set by SYSTEM_PROVIDER_KEYS"
            raise Rejected(what, code="operation_not_allowed")

    async def _find(self, org: OrgId, credential: CredentialId | None) -> StoredCredential:
        for each in self._built_in.credentials:
            if each.id == credential:
                return each
        if credential is None:
            raise _missing()
        return await self._kept(org, credential)

    async def _kept(self, org: OrgId, credential: CredentialId) -> StoredCredential:
        found = await self._records.find(org, credential)
        if found is None:
            raise _missing()
        return found

    def _access(self, stored: StoredCredential, key: str | None) -> ModelAccess:
        provider = PROVIDERS[stored.provider_id]
        return ModelAccess(
            base_url=endpoint(provider.wire, stored.base_url_override or provider.default_base_url),
            api_key=self._unsealed(stored) if key is None else key,
            provider_id=provider.provider_id,
            api_shape=provider.wire,
        )

    def _unsealed(self, stored: StoredCredential) -> str:
        try:
            return self._vault.open(stored.credentials_encrypted)
        except VaultError as error:
            what = f"the model's credential cannot be used: {error}"
            raise Rejected(what, code="model_credential_missing") from None


def _missing() -> NotFound:
    return NotFound("there is no such credential in this organization", param="credentialId")
