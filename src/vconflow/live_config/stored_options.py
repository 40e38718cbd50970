"""The types of options in a stored document, to mask it by."""

from typing import Any

from vconflow import registry
from vconflow.config import Allowances, OptionsOf
from vconflow.ports.component import Options
from vconflow.registry import Kind

__all__ = ["stored_options"]

_KINDS = {"links": Kind.LINK, "storages": Kind.STORAGE, "tracers": Kind.TRACER}


def stored_options(document: dict[str, Any], allowed: Allowances) -> OptionsOf:
    """Look types up by the modules of a document, importing none that is not allowed.

    May import built-in components: not for the event loop.
    """

    def options_of(section: str, name: str) -> type[Options] | None:
        entry = document[section][name]
        module = entry.get("module") if isinstance(entry, dict) else None
        kind = _KINDS[section]
        if not isinstance(module, str) or not allowed.may_load(kind, module):
            return None
        try:
            return registry.load(registry.find(kind, module)).options
        except registry.RegistryError:
            return None

    return options_of
