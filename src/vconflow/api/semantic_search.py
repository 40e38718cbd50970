"""/semantic-search: finding vCons by what was meant."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import json_response
from vconflow.api.refusals import InvalidRequest
from vconflow.ports.semantic_index import SemanticHit

__all__ = ["LONGEST", "MOST", "USUAL", "WORDS", "SemanticHits", "search"]

LONGEST: Final = 1_000
"""Characters of a question: longer texts say too much for one vector."""
MOST: Final = 100
USUAL: Final = 10
WORDS: Final = r"\S"
"""What a question must have."""


class SemanticHits(msgspec.Struct, frozen=True):
    """The vCons that fit best, the best first, each once."""

    hits: Sequence[SemanticHit]


async def search(call: Call) -> ASGIApp:
    """Find vCons by the meaning of what was said in them.

    404 when no storage that can do so is configured, 503 when it does not answer.
    """
    limit = call.query.integer("limit", USUAL, 1, MOST)
    hits = await call.services.semantic_search.search(_question(call), limit)
    call.note(uuids=[hit.uuid for hit in hits])
    return json_response(SemanticHits(hits))


def _question(call: Call) -> str:
    text = call.query.required("q")
    if len(text) > LONGEST:
        message = f"String should have at most {LONGEST} characters"
        raise InvalidRequest.at(("query", "q"), message, "string_too_long")
    if not re.search(WORDS, text):
        message = "String should not be blank"
        raise InvalidRequest.at(("query", "q"), message, "string_pattern_mismatch")
    return text
