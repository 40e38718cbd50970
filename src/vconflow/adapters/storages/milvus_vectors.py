"""Embeddings as vectors of the length 1, so that every metric means the same: the angle."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from vconflow.errors import Retryable
from vconflow.ports.embedder import Embedder
from vconflow.ports.providers import AccountRefused

__all__ = ["UnitVectors"]

Vector = np.ndarray[Any, np.dtype[np.float32]]
KeyT = TypeVar("KeyT")

_SHORTEST: Final = 0.1
"""A vector that the conserver wrote when it got no embedding is nothing but zeros."""


class UnitVectors:
    """Asks for embeddings."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def of(self, texts: Sequence[str]) -> list[Vector]:
        """A vector per text, in order. Raises what the embedder raises.

        A refused account is Retryable: whoever runs this mends it, and until then vCons wait, as
        they do for any storage that cannot be written to.
        """
        try:
            vectors = await self._embedder.embed(texts)
        except AccountRefused as error:
            raise Retryable(str(error)) from None
        return await asyncio.to_thread(_unit, vectors)

    @staticmethod
    def sound(vectors: Mapping[KeyT, Sequence[float]]) -> dict[KeyT, Vector]:
        """Those of stored vectors that stand for something."""
        arrays = {key: np.asarray(vector, np.float32) for key, vector in vectors.items()}
        return {key: a for key, a in arrays.items() if float(np.linalg.norm(a)) > _SHORTEST}


def _unit(vectors: Sequence[Sequence[float]]) -> list[Vector]:
    matrix = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return list(matrix / np.where(lengths == 0, 1, lengths))
