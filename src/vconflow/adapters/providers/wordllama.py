"""Embeddings by a small model on this machine, in a thread: nothing leaves, nothing is billed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vconflow.adapters.providers.line import Line
from vconflow.adapters.providers.openai_client import import_client
from vconflow.errors import ConfigError, Problem

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

__all__ = ["LocalEmbedder", "open_wordllama"]

DIMENSIONS: Final = (64, 128, 256)
_NAME: Final = "wordllama"


class LocalEmbedder:
    """An Embedder."""

    def __init__(self, model: "WordLlamaInference", line: Line, timeout: float, dim: int) -> None:
        self.dim = dim
        self._model = model
        self._line = line
        self._timeout = timeout

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if not texts:
            return []
        async with self._line.call(_NAME, self._timeout):
            return await asyncio.to_thread(self._vectors, list(texts))

    def _vectors(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = self._model.embed(texts, norm=True).tolist()
        return found


@asynccontextmanager
async def open_wordllama(dim: int) -> "AsyncIterator[WordLlamaInference]":
    """Load the model that its wheel brings. Raises ConfigError for a length that it lacks."""
    if dim not in DIMENSIONS:
        lengths = ", ".join(map(str, DIMENSIONS))
        message = f"local:{_NAME} makes vectors of {lengths} numbers, not {dim}"
        raise ConfigError([Problem((), message, "bad_dimension")])
    with _logging_left_alone():
        module = await import_client(_NAME, "local-embeddings")
    folder = Path(module.__file__).parent
    yield await asyncio.to_thread(
        module.WordLlama.load, cache_dir=folder, disable_download=True, trunc_dim=dim
    )


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """The package configures the root logger when it is imported, unless that has a handler."""
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
