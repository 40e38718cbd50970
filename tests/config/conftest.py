"""How these tests write configurations and read what is wrong with them."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from vconflow.config import Config, parse
from vconflow.errors import ConfigError

Parse = Callable[..., Config]
Problems = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def _stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let configurations name `strangers_components:EchoLink`, a module outside of vconflow."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "stranger"))
    yield
    for name in [name for name in sys.modules if name.startswith("strangers_")]:
        del sys.modules[name]


@pytest.fixture
def read() -> Parse:
    def read_text(text: str, env: Mapping[str, str] | None = None) -> Config:
        return parse(dedent(text), env or {})

    return read_text


@pytest.fixture
def problems(read: Parse) -> Problems:
    def lines(text: str, env: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, env)
        return [str(problem) for problem in caught.value.problems]

    return lines
