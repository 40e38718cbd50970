"""A real process that all hostile requests go to."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "e2e"))
sys.path.append(str(Path(__file__).parent))

from stage import Stage, open_stage  # found by the paths above


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The server under attack; the same for all tests, so that harm would add up."""
    with asyncio.Runner() as runner:
        opened = open_stage(tmp_path_factory.mktemp("hostile"))
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture(autouse=True)
def _still_well(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test the server answers, works, and has said nothing of unexpected errors."""
    yield
    if "stage" in request.fixturenames:
        request.getfixturevalue("stage").check()
