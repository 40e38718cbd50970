"""A long text in parts, cut where it hurts least."""

import math
import re
from collections.abc import Iterator
from typing import Final

from vconflow.links.analysis.tokens import estimate

__all__ = ["split"]

# The best places first: between paragraphs, between lines (in transcripts: speakers), sentences,
# words. Each keeps what it is cut by, so that the parts together are the text.
BOUNDARIES: Final = tuple(
    map(
        re.compile,
        (r"(?<=\n)(?=[ \t]*\n)", r"(?<=\n)", r"(?<=[.!?…])(?=\s)|(?<=[。！？।])", r"(?<=\s)"),  # noqa: RUF001  # the marks of full-width scripts
    )
)


def split(text: str, limit: float) -> list[str]:
    """Cut a text into parts of at most that many tokens (at least 4), of about the same size."""
    total = estimate(text)
    if total <= limit:
        return [text]
    aim = total / math.ceil(total / limit)
    parts = [""]
    size = 0.0
    for piece in _pieces(text, aim, 0):
        more = estimate(piece)
        if parts[-1] and (size >= aim or size + more > limit):
            parts.append("")
            size = 0.0
        parts[-1] += piece
        size += more
    return parts


def _pieces(text: str, limit: float, level: int) -> Iterator[str]:
    """The text in pieces within the limit, not cut finer than needed for that."""
    if estimate(text) <= limit or len(text) == 1:
        yield text
    elif level == len(BOUNDARIES):
        middle = len(text) // 2
        yield from _pieces(text[:middle], limit, level)
        yield from _pieces(text[middle:], limit, level)
    else:
        for piece in BOUNDARIES[level].split(text):
            if piece:
                yield from _pieces(piece, limit, level + 1)
