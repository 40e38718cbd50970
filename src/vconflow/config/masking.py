"""The configuration as it may be shown: every credential replaced by `***`.

What an option's type calls a secret is one. Of a component without types here every text is
taken for one, as is everything that no type describes. A value that is nothing but `${NAME}` names
a credential without being it, and stays.

The masked document has the shape of the document, place by place: `unmasking` relies on it.
"""

from collections.abc import Callable
from typing import Any

from msgspec import inspect

from vconflow.config.access import API_KEY_KEYS, PARTNER_KEYS
from vconflow.config.field_types import is_secret, is_secret_url, items_of, values_of
from vconflow.config.types import ChainConfig, Config
from vconflow.config.urls import is_reference, mask_credentials, mask_secret_url
from vconflow.ports.component import Options
from vconflow.ports.redaction import MASK, TELLING

__all__ = ["MASK", "OptionsOf", "mask", "mask_document"]

OptionsOf = Callable[[str, str], type[Options] | None]
"""The type of a component's options by its section and name; None when nothing is known."""

COMPONENTS = ("links", "storages", "tracers")
COMPONENT_KEYS = (
    "module",
    "pip_name",
    "ingress-lists",
    "egress-lists",
    "timeout",
    "retry",
    "batch",
)
SHOWN = {
    "followers": ("url", "egress_list", "follower_ingress_list", "pulling_interval"),
    "chains": tuple(ChainConfig.__struct_fields__),
    "imports": ("module", "pip_name"),
    "api_keys": API_KEY_KEYS,
}
"""What may be shown of each entry of a section."""


def mask(config: Config) -> dict[str, Any]:
    """The document of a configuration as written, JSON-ready, with its secrets masked."""

    def options_of(section: str, name: str) -> type[Options] | None:
        component = getattr(config, section).get(name)
        return type(component.options) if component and component.options is not None else None

    return mask_document(config.raw, options_of)


def mask_document(document: dict[str, Any], options_of: OptionsOf) -> dict[str, Any]:
    """The same for any document, also for one that cannot be used."""
    return {
        name: {key: _mask_entry(name, key, entry, options_of) for key, entry in section.items()}
        if isinstance(section, dict)
        else _mask_all(section)
        for name, section in document.items()
    }


def _mask_entry(section: str, name: str, entry: Any, options_of: OptionsOf) -> Any:
    if section in COMPONENTS:
        return _mask_component(entry, options_of(section, name))
    if section == "imports" and isinstance(entry, str):
        return _mask_urls(entry)  # the name of a module
    if section in SHOWN:
        return _keep(entry, SHOWN[section])
    if section == "ingress_auth":
        return _mask_partners(entry)
    return _mask_all(entry)


def _mask_partners(entry: Any) -> Any:
    """Mask one key or several, each a text or a mapping that says more than the key."""
    if isinstance(entry, list):
        return [_mask_partners(item) for item in entry]
    return _keep(entry, PARTNER_KEYS) if isinstance(entry, dict) else _mask_all(entry)


def _mask_component(entry: Any, options: type[Options] | None) -> Any:
    masked = _keep(entry, COMPONENT_KEYS)
    if options is None or options.is_open:
        return masked
    if isinstance(entry, dict) and isinstance(entry.get("options"), dict):
        masked["options"] = _mask_options(options, entry["options"])
    return masked


def _keep(raw: Any, shown: tuple[str, ...]) -> Any:
    """Show the named keys, mask all others."""
    if not isinstance(raw, dict):
        return _mask_all(raw)
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
    return {
        key: _mask_typed(types[key], value) if key in types else _mask_all(value)
        for key, value in raw.items()
    }


def _mask_typed(kind: inspect.Type, value: Any) -> Any:
    if is_secret(kind):
        return _mask_all(value)
    if isinstance(value, dict):
        return {key: _mask_by(values_of(kind, key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask_by(items_of(kind), item) for item in value]
    if isinstance(value, str) and is_secret_url(kind):
        return mask_secret_url(value)
    return _mask_urls(value)


def _mask_by(kinds: list[inspect.Type], value: Any) -> Any:
    """Mask by the declared types; by the strictest rule when there are several or none."""
    if len(kinds) == 1:
        return _mask_typed(kinds[0], value)
    if kinds and not any(is_secret(kind) or is_secret_url(kind) for kind in kinds):
        return _mask_urls(value)
    return _mask_all(value)


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
    return value if isinstance(value, str) and is_reference(value) else MASK


def _mask_urls(value: Any) -> Any:
    """Mask the credentials in URLs, wherever in a text they stand."""
    if isinstance(value, dict):
        return {key: _mask_urls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask_urls(item) for item in value]
    return mask_credentials(value) if isinstance(value, str) else value
