"""Loopback providers with real logic behind them, and a recording of real speech."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from providers_support import KEY, SENTENCE, letters, shortest_sentence

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
    """Four seconds of speech in a file whose name says nothing."""
    file = tmp_path / "said"
    file.write_bytes(speak(SENTENCE))
    return Recording(media_type="audio/x-wav", file=file, duration=4.6)
