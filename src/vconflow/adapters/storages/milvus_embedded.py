"""Milvus inside this process, for as long as somebody uses it."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from vconflow.errors import Permanent

__all__ = ["embedded_milvus"]

# The library keeps its servers by their files, one each: a storage that a change of the
# configuration opens anew comes before the old one goes.
_users: Final[Counter[str]] = Counter()


@asynccontextmanager
async def embedded_milvus(file: str) -> AsyncIterator[str]:
    """Serve a file on a loopback port; yields the URL. Raises Permanent when that cannot be."""
    if find_spec("milvus_lite") is None:
        raise Permanent("uri: needs the extra 'milvus-lite': pip install 'vconflow[milvus-lite]'")
    logging.getLogger("milvus_lite").setLevel(logging.WARNING)
    # Its server reports with a traceback whatever it cannot do, such as being asked for the time.
    logging.getLogger("grpc._server").setLevel(logging.CRITICAL)
    path = str(await asyncio.to_thread(Path(file).absolute))
    _users[path] += 1
    try:
        yield await asyncio.to_thread(_start, path)
    finally:
        _users[path] -= 1
        if not _users[path]:
            del _users[path]
            await asyncio.to_thread(_stop, path)


def _start(path: str) -> str:
    from milvus_lite.server_manager import server_manager_instance

    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Permanent(f"uri: {path}: {error.strerror}") from error
    url = server_manager_instance.start_and_get_uri(path)
    if url is None:
        raise Permanent(f"uri: {path} cannot be opened: does another process use it?")
    return str(url)


def _stop(path: str) -> None:
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(path)
