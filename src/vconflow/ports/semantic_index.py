"""Finding vCons by what was meant."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

__all__ = ["SemanticHit", "SemanticIndex"]


class SemanticHit(msgspec.Struct, frozen=True):
    """A vCon that was found, and the passage of it that fits best.

    `score` is the cosine similarity of the passage to what was asked, from -1 to 1: higher is
    better, whatever the metric of the index is.
    """

    uuid: str
    score: float
    text: str


class SemanticIndex(Protocol):
    """What finds texts by their meaning; a storage that is one says so by `searchable = True`."""

    async def search(self, text: str, limit: int) -> Sequence[SemanticHit]:
        """The vCons that fit best, the best first, each once, at most `limit`.

        Raises `Retryable` while it, or the provider of its embeddings, is away.
        """
        ...
