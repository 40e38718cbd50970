"""Keeping values out of what is said about a configuration."""

from collections.abc import Iterable, Mapping

from vconflow.errors import Problem
from vconflow.ports.redaction import replaced

__all__ = ["without_values"]

_SHORTEST = 4
"""Characters of a value worth hiding: a shorter one stands in too many words."""


def without_values(problems: Iterable[Problem], values: Mapping[str, str]) -> list[Problem]:
    """The problems with `${NAME}` in place of the values of variables, wherever they stand."""
    hidden = {value: f"${{{name}}}" for name, value in values.items() if len(value) >= _SHORTEST}
    return [problem._replace(message=replaced(problem.message, hidden)) for problem in problems]
