"""The text of a dialog that the model is asked about."""

from collections.abc import Mapping
from typing import Any, Final

from vconflow.errors import InvalidVcon, Permanent
from vconflow.links.filters import body_text
from vconflow.model.rawjson import decode_plain

__all__ = ["BODY", "PARAGRAPHS", "source_text"]

PARAGRAPHS: Final = "body.paragraphs.transcript"
BODY: Final = "body"

# Where the vendors of transcripts put the text. Whoever left the option as it was means it.
ELSEWHERE: Final = (PARAGRAPHS, "body.transcript", "body.text", BODY)

_NOTHING: Final = object()


def source_text(analysis: Mapping[str, Any], location: str) -> str | None:
    """The text at a dotted place in an analysis, such as `body.paragraphs.transcript`.

    None if it is null or empty: nothing was said. What is no text comes as JSON. At the places that
    are defaults, the text is also looked for where other vendors put it. Raises Permanent when
    there is no such place.
    """
    decoded = dict(analysis, body=_decoded(analysis))
    value = _at(decoded, location)
    if location in (PARAGRAPHS, BODY) and not isinstance(value, str | None):
        texts = (_at(decoded, place) for place in ELSEWHERE)
        value = next((text for text in texts if isinstance(text, str)), value)
    if value is _NOTHING:
        # The place is of the configuration, and of the conversation only the kind is told.
        raise Permanent(f"its {analysis.get('type')} has nothing at {location}: see text_location")
    text = body_text({"body": value})
    return text if text.strip() else None


def _decoded(analysis: Mapping[str, Any]) -> Any:
    """The body; where it is JSON in a text, as before core-03, what that says."""
    body = analysis.get("body")
    if isinstance(body, str) and body.lstrip().startswith(("{", "[")):
        try:
            return decode_plain(body.encode())
        except InvalidVcon:
            return body
    return body


def _at(value: Any, place: str) -> Any:
    for key in place.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _NOTHING
    return value
