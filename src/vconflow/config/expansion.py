"""`${NAME}` and `${NAME:-default}` in string values."""

import re
from collections.abc import Mapping
from typing import Any

from vconflow.config.findings import Findings, Loc

__all__ = ["REFERENCE", "expand"]

# A default ends before the next `${`, so that a text full of them takes no more than a look each.
REFERENCE = re.compile(
    r"\$(?P<escaped>\$)?\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
)


def expand(value: Any, env: Mapping[str, str], loc: Loc, findings: Findings) -> Any:
    """Replace every reference in the strings of a value by the environment's.

    The default counts when the variable is unset or empty, as in a shell. `$${NAME}` stands for
    `${NAME}` itself. A variable that is not set and has no default is an error with its place.
    """
    if isinstance(value, str):
        return _expand_text(value, env, loc, findings)
    if isinstance(value, Mapping):
        return {key: expand(item, env, (*loc, key), findings) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, env, (*loc, i), findings) for i, item in enumerate(value)]
    return value


def _expand_text(text: str, env: Mapping[str, str], loc: Loc, findings: Findings) -> str:
    def replace(found: re.Match[str]) -> str:
        if found["escaped"]:
            return found[0][1:]
        name, default = found["name"], found["default"]
        if default is not None:
            return env.get(name) or default
        if name not in env:
            findings.error(loc, f"environment variable {name} is not set", "missing_env")
        return env.get(name, "")

    return REFERENCE.sub(replace, text)
