from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from analysis_support import KEY, Model, resources_at

from vconflow.ports.component import Resources
from vconflow.testing.providers import OpenAiServer, openai_server
from vconflow.testing.webhook_receiver import WebhookReceiver, webhook_receiver


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
def model() -> Model:
    """What the language model of `openai` says."""
    return Model()


@pytest.fixture
def openai(model: Model) -> Iterator[OpenAiServer]:
    """The API of OpenAI on loopback."""
    with openai_server(complete=model, decide=model.decide, keys={KEY}) as server:
        yield server


@pytest.fixture
async def asking(openai: OpenAiServer, tmp_path: Path) -> AsyncIterator[Resources]:
    """Resources with an account there."""
    async with resources_at(openai, tmp_path) as resources:
        yield resources
