"""What a module has to offer to be a link or a storage of the reference's contract."""

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from vconflow.adapters.modules.importing import import_module
from vconflow.adapters.modules.options import ModuleOptions
from vconflow.ports.modules import ModuleHost

__all__ = ["complaint", "function_of", "opened"]


async def opened(options: ModuleOptions, host: ModuleHost) -> tuple[ModuleType, dict[str, Any]]:
    """Import a module in a thread; also its default options with those given over them."""
    name = options.module
    module = await host.call(partial(import_module, name), f"import of {name}")
    return module, copy.deepcopy({**getattr(module, "default_options", {}), **options.values})


def complaint(name: str, function: str, arguments: int) -> str:
    """Import a module; why it is not of the contract, empty when it is. Raises anything."""
    module = import_module(name)
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


def function_of(module: ModuleType, name: str) -> Callable[..., Any] | None:
    """A function that a module may have."""
    found = getattr(module, name, None)
    return found if callable(found) else None
