"""Lets configurations of these tests name components that are no part of vconflow."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make `strangers_components:EchoLink` importable."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "stranger"))
    yield
    for name in [name for name in sys.modules if name.startswith("strangers_")]:
        del sys.modules[name]
