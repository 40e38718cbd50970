"""What is not to be shown, and what stands in its place."""

import re
from collections.abc import Mapping

__all__ = ["MASK", "TELLING", "replaced"]

MASK = "***"
"""Stands for what is not shown."""

TELLING = re.compile(r"key|secret|token|passw|credential|auth|sig(nature)?$", re.IGNORECASE)
"""Names that speak of a credential."""


def replaced(text: str, substitutes: Mapping[str, str]) -> str:
    """The text with something else in place of each of these values, wherever they stand."""
    # The longest first: one may be the begin of another.
    for value in sorted(substitutes, key=len, reverse=True):
        text = text.replace(value, substitutes[value])
    return text
