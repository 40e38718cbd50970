"""Texts to vectors."""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Embedder"]


class Embedder(Protocol):
    """A model of embeddings; `dim` is the length of its vectors."""

    dim: int

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector per text, in order. Raises `Retryable` and `Permanent` as completers do."""
        ...
