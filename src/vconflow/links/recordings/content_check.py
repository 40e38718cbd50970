"""Content hashes, checked while the content passes by."""

import hashlib
from collections.abc import Sequence
from typing import Final

from vconflow.errors import Permanent
from vconflow.model.hashes import joined_hash

__all__ = ["ContentCheck"]

_ALGORITHMS: Final = frozenset({"sha256", "sha384", "sha512"})


class ContentCheck:
    """Compares a content with the hashes that a vCon states, in their normal spelling."""

    def __init__(self, stated: Sequence[str]) -> None:
        """Raises Permanent when hashes are stated and none of them can be checked."""
        self._stated = [text for text in stated if _algorithm(text) in _ALGORITHMS]
        if stated and not self._stated:
            raise Permanent("content_hash: none of its algorithms is known here")
        self._hashes = {name: hashlib.new(name) for name in set(map(_algorithm, self._stated))}

    def update(self, chunk: bytes) -> None:
        """Take in what comes next."""
        for running in self._hashes.values():
            running.update(chunk)

    def verify(self) -> None:
        """Raise Permanent unless all that came has every hash that was stated."""
        for text in self._stated:
            name = _algorithm(text)
            if joined_hash(name, self._hashes[name].digest()) != text:
                raise Permanent(f"content_hash: what is there has another {name}")


def _algorithm(text: str) -> str:
    return text.partition("-")[0]
