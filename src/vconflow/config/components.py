"""The sections `links`, `storages` and `tracers`."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from vconflow import registry
from vconflow.config.conversion import convert_struct
from vconflow.config.findings import Findings, Loc
from vconflow.config.trust import Allowances, untrusted
from vconflow.config.types import (
    BatchConfig,
    LinkConfig,
    Positive,
    RetryConfig,
    StorageConfig,
    TracerConfig,
)
from vconflow.config.urls import has_broken_password
from vconflow.ports.component import Options
from vconflow.registry import Kind

__all__ = ["ComponentKeys", "read_links", "read_storages", "read_tracers"]


class ComponentKeys(msgspec.Struct, kw_only=True):
    """What may be written about one link, storage or tracer."""

    module: Annotated[
        str,
        Meta(
            min_length=1,
            description="A built-in, `package.module:Class`, or a module of the reference's "
            "contract: see [modules of third parties](third-party.md).",
        ),
    ]
    options: Annotated[dict[str, Any], Meta(description="The options of the module.")] = {}
    timeout: Annotated[
        Positive,
        Meta(
            description="Seconds for one attempt of a link, one write of a storage, one step told "
            "to a tracer (10 unless said)."
        ),
    ] = 60.0
    retry: Annotated[dict[str, Any], Meta(description="How often to try again: see below.")] = {}
    pip_name: Annotated[
        str | None, Meta(description="The package that `vconflow install` installs for it.")
    ] = None
    ingress_lists: Annotated[
        tuple[str, ...], Meta(description="Without effect; examples of the reference have it.")
    ] = msgspec.field(name="ingress-lists", default=())
    egress_lists: Annotated[
        tuple[str, ...], Meta(description="Without effect; examples of the reference have it.")
    ] = msgspec.field(name="egress-lists", default=())


class StorageKeys(ComponentKeys, kw_only=True):
    """What may be written about one storage."""

    batch: dict[str, Any] | int = {}


class TracerKeys(ComponentKeys, kw_only=True):
    """What may be written about one tracer: vCons wait for it, so it gets less time."""

    timeout: Positive = 10.0


KeysT = TypeVar("KeysT", bound=ComponentKeys)


class _Found(msgspec.Struct, kw_only=True):
    """What the registry knows of a module, and its options."""

    target: str = ""
    options: Options | None = None
    unbuilt: str | None = None


def read_links(
    section: Mapping[str, Any], findings: Findings, allowed: Allowances | None = None
) -> dict[str, LinkConfig]:
    """Read every link; those with an error are left out and noted."""
    links = {}
    for name, raw in section.items():
        loc = ("links", name)
        if keys := _keys(ComponentKeys, raw, loc, findings):
            links[name] = LinkConfig(
                name=name,
                timeout=keys.timeout,
                **_common(Kind.LINK, keys, loc, findings, allowed),
            )
    return links


def read_storages(
    section: Mapping[str, Any], findings: Findings, allowed: Allowances | None = None
) -> dict[str, StorageConfig]:
    """Read every storage; those with an error are left out and noted."""
    storages = {}
    for name, raw in section.items():
        loc = ("storages", name)
        if keys := _keys(StorageKeys, raw, loc, findings):
            storages[name] = StorageConfig(
                name=name,
                timeout=keys.timeout,
                batch=_batch(keys.batch, loc, findings),
                **_common(Kind.STORAGE, keys, loc, findings, allowed),
            )
    return storages


def read_tracers(
    section: Mapping[str, Any], findings: Findings, allowed: Allowances | None = None
) -> dict[str, TracerConfig]:
    """Read every tracer; those with an error are left out and noted."""
    tracers = {}
    for name, raw in section.items():
        loc = ("tracers", name)
        if keys := _keys(TracerKeys, raw, loc, findings):
            tracers[name] = TracerConfig(
                name=name,
                timeout=keys.timeout,
                **_common(Kind.TRACER, keys, loc, findings, allowed),
            )
    return tracers


def _keys(cls: type[KeysT], raw: Any, loc: Loc, findings: Findings) -> KeysT | None:
    return convert_struct(cls, raw, loc, findings, closed=False)


def _common(
    kind: Kind, keys: ComponentKeys, loc: Loc, findings: Findings, allowed: Allowances | None
) -> dict[str, Any]:
    retry = convert_struct(RetryConfig, keys.retry, (*loc, "retry"), findings) or RetryConfig()
    found = _find(kind, keys, loc, findings, allowed)
    return {"module": keys.module, "retry": retry} | msgspec.structs.asdict(found)


def _batch(raw: dict[str, Any] | int, loc: Loc, findings: Findings) -> BatchConfig:
    """`batch: 100` is short for `batch: {items: 100}`."""
    keys = {"items": raw} if isinstance(raw, int) else raw
    return convert_struct(BatchConfig, keys, (*loc, "batch"), findings) or BatchConfig()


def _find(
    kind: Kind, keys: ComponentKeys, loc: Loc, findings: Findings, allowed: Allowances | None
) -> _Found:
    is_trusted = allowed is None or allowed.may_load(kind, keys.module)
    try:
        target = registry.find(kind, keys.module)
        if not is_trusted:
            findings.error((*loc, "module"), untrusted(keys.module), "untrusted_module")
            return _Found()
        component = registry.load(target)
    except registry.NotBuilt as missing:
        if is_trusted:
            findings.warn(loc, _advice(str(missing), keys), "not_built")
            return _Found(unbuilt=str(missing))
        findings.error((*loc, "module"), untrusted(keys.module), "untrusted_module")
    except registry.UnknownModule as error:
        findings.error((*loc, "module"), str(error), "unknown_module")
    except registry.RegistryError as error:
        findings.error(loc, str(error), "unusable_module")
    else:
        options = _options(component.options, target, keys, (*loc, "options"), findings, allowed)
        return _Found(target=target.path, options=options)
    return _Found()


def _options(
    cls: type[Options],
    target: registry.Target,
    keys: ComponentKeys,
    loc: Loc,
    findings: Findings,
    allowed: Allowances | None,
) -> Options | None:
    values = keys.options
    if target.module:
        values = {"module": target.module, "values": values}
    else:  # what others' modules mean by their options is theirs
        _check_passwords(values, loc, findings)
    options = convert_struct(cls, values, loc, findings)
    if options is not None and allowed is not None:
        allowed.check_paths(options, loc, findings)
        if target.module:
            allowed.check_module_options(target.module, keys.options, loc, findings)
    return options


def _check_passwords(value: Any, loc: Loc, findings: Findings) -> None:
    """Refuse URLs that cannot be meant, wherever they stand, before anybody opens them."""
    if isinstance(value, str) and has_broken_password(value):
        findings.error(loc, "no port in this URL: write special characters of the password as %XX")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check_passwords(item, (*loc, str(key)), findings)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_passwords(item, (*loc, index), findings)


def _advice(missing: str, keys: ComponentKeys) -> str:
    is_package = keys.pip_name and not registry.is_installed(keys.module)
    return f"{missing}: run `vconflow install`" if is_package else missing
