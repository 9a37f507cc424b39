"""Built-in models: those of the operator's keys (`SYSTEM_PROVIDER_KEYS`), and the demo."""

from collections.abc import Callable
from typing import Any

import msgspec

from actors.contract import spell
from actors.documents import as_list, as_object
from actors.ids import CredentialId, ModelId
from actors.models.prices import Cost
from actors.models.providers import DEMO, PROVIDERS
from actors.models.records import BuiltIn, CredentialSpec, ModelSpec, StoredCredential, StoredModel
from actors.models.rules import check_credential, check_model, label_of
from actors.runtime import Rejected


class SystemModel(msgspec.Struct, frozen=True, kw_only=True, rename=spell):
    """A model of an operator's key; its id defaults to `<credential id>:<model id>`."""

    model_id: str
    id: str | None = None
    label: str | None = None
    input: Any = None
    context_window: int | None = None
    max_tokens: int | None = None
    reasoning: bool | None = None
    cost: Cost | None = None
    is_default: bool = False
    enabled: bool = True
    aliased: bool = False
    icon_url: str | None = None


class SystemCredential(CredentialSpec, frozen=True, kw_only=True, rename=spell):
    """A key of the operator's, and the models it opens for every organization."""

    id: str
    models: list[Any] = msgspec.field(default_factory=list[Any])


class SystemModels(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator has set, and a line for each entry that cannot be used."""

    usable: tuple[tuple[SystemCredential, tuple[SystemModel, ...]], ...] = ()
    skipped: tuple[str, ...] = ()


def read_system_models(entries: list[Any]) -> SystemModels:
    """Read the operator's list. An entry that cannot be used is skipped, and named."""
    usable: list[tuple[SystemCredential, tuple[SystemModel, ...]]] = []
    skipped: list[str] = []
    taken: set[str] = {DEMO}
    for number, entry in enumerate(entries):
        credential = _read(entry, SystemCredential, f"[{number}]", skipped)
        if credential is None or not _fits(credential, f"[{number}]", taken, skipped):
            continue
        models: list[SystemModel] = []
        for position, each in enumerate(as_list(as_object(entry).get("models"))):
            where = f"[{number}].models[{position}]"
            model = _read(each, SystemModel, where, skipped)
            if model is not None and _usable(model, credential, where, taken, skipped):
                models.append(model)
        usable.append((credential, tuple(models)))
    return SystemModels(usable=tuple(usable), skipped=tuple(skipped))


def built_in(system: SystemModels, seal: Callable[[str], str]) -> BuiltIn:
    """The operator's models with their keys sealed, then the demo model."""
    credentials: list[StoredCredential] = []
    models: list[StoredModel] = []
    default: ModelId | None = None
    for each, opened in system.usable:
        credential = StoredCredential(
            id=CredentialId(each.id),
            label=each.label or PROVIDERS[each.provider_id].display_name,
            provider_id=each.provider_id,
            credentials_encrypted=seal(each.api_key.strip()),
            base_url_override=each.base_url_override,
        )
        credentials.append(credential)
        for model in opened:
            models.append(_model(model, credential))
            if model.is_default and model.enabled and default is None:
                default = models[-1].id
    return BuiltIn(credentials=credentials, models=[*models, _DEMO_MODEL], default_id=default)


def _model(model: SystemModel, credential: StoredCredential) -> StoredModel:
    spec = _spec(model, credential.id)
    return StoredModel(
        id=_id(model, credential.id),
        label=label_of(spec, credential.provider_id),
        model_id=spec.model_id.strip(),
        credential=credential,
        input=spec.input,
        context_window=spec.context_window,
        max_tokens=spec.max_tokens,
        reasoning=spec.reasoning,
        cost=spec.cost,
        aliased=spec.aliased,
        enabled=spec.enabled,
        icon_url=model.icon_url,
    )


def _id(model: SystemModel, credential: str) -> ModelId:
    return ModelId(model.id or f"{credential}:{model.model_id}")


def _spec(model: SystemModel, credential: str) -> ModelSpec:
    fields = {n: getattr(model, n) for n in ModelSpec.__struct_fields__ if n != "credential_id"}
    names = dict(zip(ModelSpec.__struct_fields__, ModelSpec.__struct_encode_fields__, strict=True))
    document = {names[name]: value for name, value in fields.items()}
    return msgspec.convert(document | {"credentialId": credential}, ModelSpec)


def _read(entry: Any, kind: type[Any], where: str, skipped: list[str]) -> Any:
    try:
        return msgspec.convert(entry, kind)
    except msgspec.ValidationError as error:
        skipped.append(f"{where}: {error}")
        return None


def _fits(each: SystemCredential, where: str, taken: set[str], skipped: list[str]) -> bool:
    try:
        check_credential(each)
    except Rejected as refusal:
        skipped.append(f"{where}: {refusal.detail}")
        return False
    return _is_free(each.id, where, taken, skipped)


def _usable(
    model: SystemModel, each: SystemCredential, where: str, taken: set[str], skipped: list[str]
) -> bool:
    try:
        check_model(_spec(model, each.id))
    except msgspec.ValidationError as error:
        skipped.append(f"{where}: {error}")
        return False
    except Rejected as refusal:
        skipped.append(f"{where}: {refusal.detail}")
        return False
    return _is_free(f"model {_id(model, each.id)}", where, taken, skipped)


def _is_free(name: str, where: str, taken: set[str], skipped: list[str]) -> bool:
    if not name or name in taken:
        skipped.append(f"{where}: the id {name!r} is {'taken' if name else 'empty'}")
        return False
    taken.add(name)
    return True


_DEMO_MODEL = StoredModel(
    id=ModelId(DEMO),
    label=PROVIDERS[DEMO].display_name,
    model_id=DEMO,
    credential=StoredCredential(
        id=CredentialId(DEMO), label=DEMO, provider_id=DEMO, credentials_encrypted=""
    ),
    input=["text"],
    reasoning=False,
)
