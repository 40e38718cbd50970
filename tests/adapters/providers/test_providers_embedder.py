"""Embeddings: by the official client against a server, and by the local model."""

import logging
import math
import subprocess
import sys

import pytest
from providers_support import PASSING, STAYING, WRONG, account, letters, passing, staying

from vconflow.errors import ConfigError, Permanent, Retryable
from vconflow.ports.providers import Account, Providers
from vconflow.testing.providers import OpenAiServer, Reply

SMALL = "text-embedding-3-small"


def alike(a: list[float], b: list[float]) -> float:
    """The cosine of two vectors."""
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


async def test_a_vector_per_text_in_order(providers: Providers, openai: OpenAiServer) -> None:
    texts = [f"text {'x' * number}" for number in range(5)]
    async with providers.embedder(account(openai.base_url), SMALL, 1536) as embedder:
        assert embedder.dim == 1536
        vectors = await embedder.embed(texts)
        assert await embedder.embed([]) == []
    for text, vector in zip(texts, vectors, strict=True):
        assert alike(list(vector), letters(text)) == pytest.approx(1.0, abs=1e-6)
    assert len(openai.calls) == 1


async def test_shorter_vectors_are_asked_for(providers: Providers, openai: OpenAiServer) -> None:
    async with providers.embedder(account(openai.base_url), SMALL, 64) as embedder:
        (vector,) = await embedder.embed(["text"])
    assert len(vector) == 64
    async with providers.embedder(account(openai.base_url), "ada", 1536) as embedder:
        await embedder.embed(["text"])
    assert [call.options.get("dimensions") for call in openai.calls] == [64, None]


async def test_a_model_of_another_length(providers: Providers, openai: OpenAiServer) -> None:
    async with providers.embedder(account(openai.base_url), "ada", 100) as embedder:
        with pytest.raises(Permanent, match="vectors of ada have 1536 numbers, not 100"):
            await embedder.embed(["text"])


async def test_long_lists_go_in_batches(providers: Providers, openai: OpenAiServer) -> None:
    texts = [f"text {number}" for number in range(600)] + ["", "y" * 300_000, "z" * 300_000]
    async with providers.embedder(account(openai.base_url), SMALL, 1536) as embedder:
        assert len(await embedder.embed(texts)) == len(texts)
    batches = [call.options["input"] for call in openai.calls]
    assert [len(batch) for batch in batches] == [256, 256, 90, 1]
    # An empty text would have the whole batch refused.
    assert [text for batch in batches for text in batch] == [text or " " for text in texts]


@pytest.mark.parametrize(("reply", "wait"), PASSING)
async def test_what_passes(
    providers: Providers, openai: OpenAiServer, reply: Reply, wait: float | None
) -> None:
    openai.answer(reply)
    async with providers.embedder(account(openai.base_url), SMALL, 1536) as embedder:
        with pytest.raises(Retryable) as caught:
            await embedder.embed(["text"])
        passing(caught, wait)
        assert len(await embedder.embed(["text"])) == 1


@pytest.mark.parametrize("reply", STAYING)
async def test_what_stays(providers: Providers, openai: OpenAiServer, reply: Reply) -> None:
    openai.answer(reply)
    async with providers.embedder(account(openai.base_url), SMALL, 1536) as embedder:
        with pytest.raises(Permanent, match=f"status {reply.status}") as caught:
            await embedder.embed(["text"])
    staying(caught)


async def test_a_refused_key(providers: Providers, openai: OpenAiServer) -> None:
    async with providers.embedder(account(openai.base_url, WRONG), SMALL, 1536) as embedder:
        with pytest.raises(Permanent, match="status 401") as caught:
            await embedder.embed(["text"])
    staying(caught)


@pytest.mark.parametrize("dim", [64, 256])
async def test_the_local_model_finds_what_is_near(providers: Providers, dim: int) -> None:
    handlers = list(logging.root.handlers)
    async with providers.embedder(Account(), "local:wordllama", dim) as embedder:
        refund, money, weather = await embedder.embed(
            ["I want a refund.", "Please give me my money back.", "It rains in the mountains."]
        )
        assert await embedder.embed([]) == []
    assert {len(refund), len(money), len(weather)} == {dim}
    assert alike(list(refund), list(money)) > alike(list(refund), list(weather))
    assert logging.root.handlers == handlers


@pytest.mark.parametrize(
    ("model", "dim", "why"),
    [
        ("local:bert", 256, "unknown local model 'local:bert'"),
        ("local:wordllama", 1536, "not 1536"),
    ],
)
async def test_what_the_local_model_cannot_do(
    providers: Providers, model: str, dim: int, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        async with providers.embedder(Account(), model, dim):
            pass


MISSING = """
import asyncio, sys
sys.modules[{module!r}] = None
from vconflow.adapters.providers import open_providers
from vconflow.errors import ConfigError
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account
async def main():
    async with open_providers() as providers:
        try:
            async with providers.embedder(Account(api_key=Secret("k")), {model!r}, 256):
                pass
        except ConfigError as error:
            print(error)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("module", "model", "extra"),
    [("openai", SMALL, "openai"), ("wordllama", "local:wordllama", "local-embeddings")],
)
def test_an_extra_that_is_missing(module: str, model: str, extra: str) -> None:
    code = MISSING.format(module=module, model=model)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{module} is not installed: pip install 'vconflow[{extra}]'"
