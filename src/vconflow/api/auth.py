"""Who may call: the keys of the settings and of a file that may change while we run."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from vconflow.api.refusals import Forbidden
from vconflow.errors import Unavailable
from vconflow.ports.component import Secret
from vconflow.telemetry.log import get_logger

__all__ = ["Authenticator"]

_MAIN = "main"
_LOOK_AGAIN = 1.0
_Stamp = tuple[int, int, int]

_log = get_logger()


class Authenticator:
    """Compares the key of a request with all valid keys, in constant time.

    Without any key configured everyone is let in. A configured key file that is empty lets nobody
    in by it. While the file cannot be read the keys it had stay valid: refusing them would make
    clients drop their data.
    """

    def __init__(
        self,
        header: str,
        token: Secret | None,
        token_file: Path | str | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._header = header.lower().encode("latin-1")
        self._fixed = ((token.reveal().encode(), _MAIN),) if token and token.reveal() else ()
        self._keys: tuple[tuple[bytes, str], ...] = self._fixed
        self._file = Path(token_file) if token_file else None
        self._open = not self._fixed and self._file is None
        self._stamp: _Stamp | None = None
        self._monotonic = monotonic
        self._next_look = float("-inf")

    async def admit(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the name of the request's key: `main`, `file:<fingerprint>` or empty.

        Raises Forbidden, or Unavailable while the key file has never been readable.
        """
        if self._open:
            return ""
        if self._file is not None and self._monotonic() >= self._next_look:
            await self._look_again(self._file)
        given = headers.get(self._header, b"")
        owner = None
        for key, name in self._keys:
            # No early exit: the time taken must not tell which key was nearly right.
            if hmac.compare_digest(key, given):
                owner = name
        if owner is not None:
            return owner
        if self._file is not None and self._stamp is None:
            raise Unavailable("The API keys cannot be read now")
        raise Forbidden("Invalid API Key")

    async def _look_again(self, file: Path) -> None:
        self._next_look = self._monotonic() + _LOOK_AGAIN
        try:
            read = await asyncio.to_thread(_read_if_changed, file, self._stamp)
        except (OSError, UnicodeDecodeError) as error:
            _log.warning("api_key_file_unreadable", error=type(error).__name__)
            return
        if read is not None:
            self._stamp, keys = read
            self._keys = self._fixed + tuple((key, _file_name(key)) for key in keys)


def _read_if_changed(file: Path, known: _Stamp | None) -> tuple[_Stamp, list[bytes]] | None:
    status = file.stat()
    stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
    if stamp == known:
        return None
    lines = file.read_text().splitlines()
    return stamp, [line.strip().encode() for line in lines if line.strip()]


def _file_name(key: bytes) -> str:
    # Stable when lines move, and too short to find the key by.
    return f"file:{hashlib.blake2b(key, digest_size=4, person=b'vconflow').hexdigest()}"
