"""The configuration as it may be shown: every credential replaced by `***`.

What an option's type calls a secret is one. Of a component without types here every text is
taken for one, as is everything that no type describes. A value that is nothing but `${NAME}` names
a credential without being it, and stays.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import inspect

from vconflow.config.expansion import REFERENCE
from vconflow.config.field_types import alternatives, is_secret
from vconflow.config.types import ChainConfig, Config
from vconflow.ports.component import Options

__all__ = ["MASK", "mask"]

MASK = "***"
USERINFO = re.compile(r"([A-Za-z][\w+.-]*://)[^/?#\s]*@")
TELLING = re.compile(r"key|secret|token|passw|credential", re.IGNORECASE)
PARAMETER = re.compile(r"(?<=[?&])([^=&#\s]*)=([^&#\s]*)")
COMPONENT_KEYS = (
    "module",
    "pip_name",
    "ingress-lists",
    "egress-lists",
    "timeout",
    "retry",
    "batch",
)
FOLLOWER_KEYS = ("url", "egress_list", "follower_ingress_list", "pulling_interval")

IMPORT_KEYS = ("module", "pip_name")
CHAIN_KEYS = tuple(ChainConfig.__struct_fields__)

Masker = Callable[[Any], Any]


def mask(config: Config) -> dict[str, Any]:
    """The document as written, JSON-ready, with its secrets masked."""
    maskers: dict[str, Masker] = {
        "links": _each(config.links, _mask_component),
        "storages": _each(config.storages, _mask_component),
        "tracers": _each(config.tracers, _mask_component),
        "followers": _each(config.followers, lambda _, raw: _keep(raw, FOLLOWER_KEYS)),
        "chains": _each(config.chains, lambda _, raw: _keep(raw, CHAIN_KEYS)),
        "imports": _each(config.imports, lambda _, raw: _keep(raw, IMPORT_KEYS)),
    }
    return {name: maskers.get(name, _mask_all)(value) for name, value in config.raw.items()}


def _each(known: Mapping[str, Any], mask_one: Callable[[Any, Any], Any]) -> Masker:
    def mask_section(section: Any) -> Any:
        return {name: mask_one(known[name], raw) for name, raw in (section or {}).items()}

    return mask_section


def _mask_component(component: Any, raw: dict[str, Any]) -> dict[str, Any]:
    masked: dict[str, Any] = _keep(raw, COMPONENT_KEYS)
    if component.options is not None and raw.get("options"):
        masked["options"] = _mask_options(type(component.options), raw["options"])
    return masked


def _keep(raw: Any, shown: tuple[str, ...]) -> Any:
    """Show the named keys, mask all others."""
    if not isinstance(raw, dict):
        return _mask_urls(raw)
    return {
        key: _mask_urls(value) if key in shown else _mask_untyped(key, value)
        for key, value in raw.items()
    }


def _mask_options(cls: type[Options], raw: dict[str, Any]) -> dict[str, Any]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    by_name = {field.name: field.type for field in info.fields}
    by_key = {field.encode_name: field.type for field in info.fields}
    aliased = {alias: by_name.get(to) or by_key[to] for alias, to in cls.aliases.items()}
    types = aliased | by_key
    return {key: _mask_typed(types[key], value) for key, value in raw.items()}


def _mask_typed(kind: inspect.Type, value: Any) -> Any:
    if is_secret(kind):
        return _mask_all(value)
    if isinstance(value, dict):
        return {key: _mask_by(_values_of(kind, key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask_by(_items_of(kind), item) for item in value]
    return _mask_urls(value)


def _mask_by(kinds: list[inspect.Type], value: Any) -> Any:
    """Mask by the declared types; by the strictest rule when there are several or none."""
    if len(kinds) == 1:
        return _mask_typed(kinds[0], value)
    if kinds and not any(map(is_secret, kinds)):
        return _mask_urls(value)
    return _mask_all(value)


def _values_of(kind: inspect.Type, key: str) -> list[inspect.Type]:
    found: list[inspect.Type] = []
    for member in alternatives(kind):
        if isinstance(member, inspect.DictType):
            found.append(member.value_type)
        elif isinstance(member, inspect.StructType):
            found += [field.type for field in member.fields if field.encode_name == key]
    return found


def _items_of(kind: inspect.Type) -> list[inspect.Type]:
    return [
        member.item_type
        for member in alternatives(kind)
        if isinstance(member, inspect.VarTupleType | inspect.ListType)
    ]


def _mask_untyped(key: str, value: Any) -> Any:
    """Mask every text, and numbers whose key speaks of a credential."""
    if isinstance(value, dict):
        return {name: _mask_untyped(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_mask_untyped(key, item) for item in value]
    if isinstance(value, str) or TELLING.search(key):
        return _mask_all(value)
    return value


def _mask_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mask_all(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask_all(item) for item in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    return value if _is_reference(value) else MASK


def _is_reference(value: Any) -> bool:
    found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found is not None and not found["escaped"] and found["default"] is None


def _mask_urls(value: Any) -> Any:
    """Mask the credentials in URLs, wherever in a text they stand: user name, password, and
    parameters whose name speaks of one.
    """
    if isinstance(value, dict):
        return {key: _mask_urls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask_urls(item) for item in value]
    if not isinstance(value, str) or "://" not in value:
        return value
    return PARAMETER.sub(_mask_parameter, USERINFO.sub(rf"\1{MASK}@", value))


def _mask_parameter(found: re.Match[str]) -> str:
    return f"{found[1]}={_mask_all(found[2])}" if TELLING.search(found[1]) else found[0]
