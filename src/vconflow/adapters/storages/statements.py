"""Named SQL statements in files next to the code that runs them."""

import re
from importlib.resources import files

__all__ = ["load_statements"]

_NAME = re.compile(r"^-- :name (\w+)\s*$", re.MULTILINE)


def load_statements(file: str) -> dict[str, str]:
    """Return the statements of a .sql file of this package by name. Reads a file: blocking.

    A statement begins with a line `-- :name <name>`.
    """
    text = (files(__package__) / file).read_text("utf-8")
    _, *parts = _NAME.split(text)
    return {name: sql.strip() for name, sql in zip(parts[::2], parts[1::2], strict=True)}
