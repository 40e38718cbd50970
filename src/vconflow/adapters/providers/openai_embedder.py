"""Embeddings of OpenAI, and of everything that speaks its API."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from vconflow.adapters.providers.line import Line
from vconflow.adapters.providers.openai_client import expect, mapped_errors
from vconflow.errors import Permanent
from vconflow.ports.providers import AccountRefused
from vconflow.ports.usage import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["OpenAiEmbedder"]

_MOST_TEXTS: Final = 256
_MOST_CHARACTERS: Final = 400_000
"""Of one call: the API takes 2,048 texts and 300,000 tokens, which may be short ones."""
_SHORTENABLE: Final = "text-embedding-3"
"""Models of this family return vectors as short as they are asked to."""


class OpenAiEmbedder:
    """An Embedder; `timeout` is in seconds for one call, of which long lists need several."""

    def __init__(
        self, client: "AsyncOpenAI", line: Line, timeout: float, model: str, dim: int
    ) -> None:
        self.dim = dim
        self._client = client
        self._line = line
        self._timeout = timeout
        self._model = model

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: list[list[float]] = []
        for batch in _batches(texts):
            vectors += await self._call(batch)
        return vectors

    async def _call(self, texts: list[str]) -> list[list[float]]:
        import openai

        provider, model = self._line.provider, self._model
        dimensions = self.dim if _SHORTENABLE in model else openai.omit
        async with self._line.call(model, self._timeout):
            with mapped_errors(provider):
                answer = await self._client.embeddings.create(
                    model=model, input=texts, dimensions=dimensions
                )
            answer = expect(provider, answer, openai.types.CreateEmbeddingResponse)
        # Servers that only resemble OpenAI's leave the usage out, whatever the client's types say.
        read = getattr(answer.usage, "prompt_tokens", None) or 0
        self._line.bill(model, Usage(provider, answer.model or model, input_tokens=read))
        vectors = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        if len(vectors) != len(texts):
            raise Permanent(f"{provider}: {len(vectors)} vectors for {len(texts)} texts")
        if odd := next((len(vector) for vector in vectors if len(vector) != self.dim), None):
            message = f"{provider}: vectors of {model} have {odd} numbers, not {self.dim}"
            raise AccountRefused(message)
        return vectors


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == _MOST_TEXTS or size + len(text) > _MOST_CHARACTERS):
            yield batch
            batch, size = [], 0
        # The API refuses a whole batch for the sake of one empty text.
        batch.append(text or " ")
        size += len(text)
    if batch:
        yield batch
