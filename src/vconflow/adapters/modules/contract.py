"""What a module has to offer to be a link or a storage of the reference's contract."""

import copy
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from vconflow.adapters.modules.importing import import_module

__all__ = ["complaint", "defaults", "function_of", "load"]


def load(name: str) -> ModuleType:
    """Import a module with what it imports of the reference. Blocks, and raises anything."""
    return import_module(name)


def complaint(module: ModuleType, function: str, arguments: int) -> str:
    """Why a module is not of the contract: which function is missing; empty when it is."""
    found = getattr(module, function, None)
    if not callable(found):
        return f"{module.__name__} has no function {function}()"
    try:
        inspect.signature(found).bind(*range(arguments))
    except TypeError as error:
        return f"{module.__name__}.{function}() cannot be called with {arguments} values: {error}"
    except ValueError:  # written in C: there is nothing to look at
        pass
    if not isinstance(getattr(module, "default_options", {}), Mapping):
        return f"{module.__name__}.default_options is no dict"
    return ""


def defaults(module: ModuleType, values: Mapping[str, Any]) -> dict[str, Any]:
    """The module's default options with those of the configuration over them."""
    return copy.deepcopy({**getattr(module, "default_options", {}), **values})


def function_of(module: ModuleType, name: str) -> Callable[..., Any] | None:
    """A function that a module may have."""
    found = getattr(module, name, None)
    return found if callable(found) else None
