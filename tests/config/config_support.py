"""How these tests write configurations and read what is wrong with them."""

from collections.abc import Mapping
from textwrap import dedent

import pytest

from vconflow.config import Config, parse
from vconflow.errors import ConfigError

__all__ = ["problems", "read"]


def read(text: str, env: Mapping[str, str] | None = None) -> Config:
    """The configuration of an indented text."""
    return parse(dedent(text), env or {})


def problems(text: str, env: Mapping[str, str] | None = None) -> list[str]:
    """Everything that is wrong with it."""
    with pytest.raises(ConfigError) as caught:
        read(text, env)
    return [str(problem) for problem in caught.value.problems]
