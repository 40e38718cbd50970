"""Loopback providers with a real model behind them, and recordings of real speech."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from vconflow.adapters.providers import open_providers
from vconflow.ports.providers import Providers
from vconflow.ports.transcriber import Recording
from vconflow.testing.providers import (
    DeepgramServer,
    HuggingFaceServer,
    OpenAiServer,
    deepgram_server,
    hugging_face_server,
    openai_server,
)
from vconflow.testing.speech import speak, whisper

KEY = "sk-right-key"
SENTENCE = "The delivery was late and I would like a refund for my order, please."


def shortest_sentence(messages: Sequence[Mapping[str, Any]]) -> str:
    """A summary, as small as they come."""
    sentences = [part.strip() for part in str(messages[-1]["content"]).split(".") if part.strip()]
    return min(sentences, key=len) + "."


def letters(text: str) -> list[float]:
    """How often each letter occurs: texts of the same words are near each other."""
    return [float(text.lower().count(chr(ord("a") + index % 26))) for index in range(1536)]


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    async with open_providers() as opened:
        yield opened


@pytest.fixture
def openai() -> Iterator[OpenAiServer]:
    with openai_server(complete=shortest_sentence, embed=letters, hear=whisper, keys={KEY}) as it:
        yield it


@pytest.fixture
def deepgram() -> Iterator[DeepgramServer]:
    with deepgram_server(whisper, keys={KEY}) as it:
        yield it


@pytest.fixture
def hugging_face() -> Iterator[HuggingFaceServer]:
    with hugging_face_server(whisper, keys={KEY}) as it:
        yield it


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    file = tmp_path / "said"
    file.write_bytes(speak(SENTENCE))
    return Recording(media_type="audio/x-wav", file=file, duration=4.6)
