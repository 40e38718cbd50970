"""Importing modules that expect to run inside the reference conserver.

`lib.vcon_redis`, `server.lib.vcon_redis` and the like are found by a finder that comes last of
all: a real package of that name, the module's own for instance, always goes before it, and even
then only what that package does not have is served from here.
"""

import importlib
import sys
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType

__all__ = ["SERVED", "import_module"]

_SHIM = "vconflow.adapters.modules.shim"

SERVED = MappingProxyType(
    {
        "lib.error_tracking": f"{_SHIM}.error_tracking",
        "lib.links.filters": f"{_SHIM}.filters",
        "lib.logging_utils": f"{_SHIM}.logging_utils",
        "lib.metrics": f"{_SHIM}.metrics",
        "lib.queue": f"{_SHIM}.vcon_queue",
        "lib.vcon_redis": f"{_SHIM}.vcon_redis",
        "redis_mgr": f"{_SHIM}.redis_mgr",
        "vcon": f"{_SHIM}.vcon",
    }
)
"""Modules of the reference to those that stand in for them; all of them below `server.` too."""

_PACKAGES = frozenset({"lib", "lib.links", "server"})


def import_module(name: str) -> ModuleType:
    """Import a module of a third party. Raises whatever it raises."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
    # Whoever started the process waits for a line on its standard output, which is ours.
    with _STDOUT_SPARED:
        return importlib.import_module(name)


class _SparedStdout:
    """Redirected while anybody is inside: two that do it each for itself leave it so for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._redirection = redirect_stdout(sys.stderr)

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._redirection = redirect_stdout(sys.stderr)
                self._redirection.__enter__()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._redirection.__exit__(None, None, None)


_STDOUT_SPARED = _SparedStdout()


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = fullname.removeprefix("server.")
        if name in _PACKAGES:
            return ModuleSpec(fullname, _Empty(), is_package=True)
        if name in SERVED:
            return ModuleSpec(fullname, _StandIn(SERVED[name]))
        return None


class _Empty(Loader):
    def exec_module(self, module: ModuleType) -> None:
        """Leave it empty: what is in the package is asked for by name."""


class _StandIn(Loader):
    """Whatever it is imported as, it is one module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self._name)


_FINDER = _Finder()
