"""Gzip that cannot be used to fill the memory: output comes in small pieces."""

import zlib
from collections.abc import Iterator

from vconflow.api.refusals import InvalidRequest, TooLarge

__all__ = ["Inflater", "inflate"]

_PIECE = 256 * 1024
_CHUNK = 64 * 1024
_GZIP_WINDOW = 31


class Inflater:
    """Inflates a gzip stream of one or more members, chunk by chunk."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the chunk holds, in pieces of at most 256 KiB. Raises InvalidRequest."""
        while True:
            if self._member.eof:
                # Some writers pad with zeros; anything else must be a further member.
                chunk = chunk.lstrip(b"\0")
                if not chunk:
                    return
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            piece = self._inflate(chunk)
            if piece:
                yield piece
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if not chunk and len(piece) < _PIECE:
                return

    def finish(self) -> None:
        """Raise InvalidRequest when the stream stopped in the middle."""
        if self._begun and not self._member.eof:
            raise InvalidRequest.at(("body",), "the gzip data is cut short", "bad_gzip")

    def _inflate(self, chunk: bytes) -> bytes:
        self._begun = True
        try:
            return self._member.decompress(chunk, _PIECE)
        except zlib.error:
            raise InvalidRequest.at(("body",), "the gzip data is damaged", "bad_gzip") from None


def inflate(data: bytes, limit: int) -> bytes:
    """Inflate a whole body; slow for large ones. Raises TooLarge past `limit`, InvalidRequest."""
    inflater, pieces, size = Inflater(), [], 0
    # By chunks, because zlib copies what it has not read yet each time it pauses.
    for start in range(0, len(data), _CHUNK):
        for piece in inflater.feed(data[start : start + _CHUNK]):
            size += len(piece)
            if size > limit:
                raise TooLarge(limit)
            pieces.append(piece)
    inflater.finish()
    return b"".join(pieces)
