"""Query and path parameters, refused in the words and the shape that existing clients know."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from vconflow.api.refusals import InvalidRequest
from vconflow.errors import Problem
from vconflow.model.dates import instant
from vconflow.model.identifiers import canonical_uuid
from vconflow.model.validation import without_scheme
from vconflow.ports.documents import Search

__all__ = ["Query", "path_uuid", "search_terms", "uuids_of"]

_MAX_FIELDS = 5_000
# `+` stands for a blank in a query: what was written as `T10:00:00+02:00` arrives like this.
_OFFSET_AFTER_BLANK = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$")
_NUMBER_AFTER_BLANK = re.compile(r"^ (?=\d)")


class Query:
    """The query string. Of a repeated single value the last counts."""

    def __init__(self, raw: bytes) -> None:
        self._values: dict[str, list[str]] = {}
        if not raw:
            return
        try:
            pairs = parse_qsl(
                raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
            )
        except ValueError:
            raise InvalidRequest.at(("query",), "too many parameters", "too_long") from None
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def optional(self, name: str) -> str | None:
        values = self._values.get(name)
        return values[-1] if values else None

    def required(self, name: str) -> str:
        """A value that must be there and must not be blank."""
        value = self.optional(name)
        if value is None:
            raise InvalidRequest.at(("query", name), "Field required", "missing")
        if not value:
            message = "String should have at least 1 character"
            raise InvalidRequest.at(("query", name), message, "string_too_short")
        return value

    def several(self, name: str) -> list[str]:
        """All values, repeated and comma-joined ones alike, without blanks."""
        values = self._values.get(name, ())
        return [part for value in values for text in value.split(",") if (part := text.strip())]

    def members(self, *several: str) -> dict[str, str | list[str]]:
        """All parameters by name: their last values, of those in `several` all values."""
        return {
            name: values if name in several else values[-1] for name, values in self._values.items()
        }

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number between `low` and `high`, both allowed."""
        text = self.optional(name)
        if text is None:
            return default
        loc = ("query", name)
        try:
            number = int(text)
        except ValueError:
            message = "Input should be a valid integer, unable to parse string as an integer"
            raise InvalidRequest.at(loc, message, "int_parsing") from None
        if number < low:
            message = f"Input should be greater than or equal to {low}"
            raise InvalidRequest.at(loc, message, "greater_than_equal")
        if number > high:
            message = f"Input should be less than or equal to {high}"
            raise InvalidRequest.at(loc, message, "less_than_equal")
        return number

    def moment(self, name: str) -> float | None:
        """A date, or a number of Unix seconds, as Unix seconds."""
        text = self.optional(name)
        if not text:
            return None
        if text.isascii() and text.isdigit() and len(text) <= 12:
            return float(text)
        try:
            return instant(_OFFSET_AFTER_BLANK.sub(r"\1+\2", text))
        except ValueError:
            message = "Input should be a valid datetime"
            raise InvalidRequest.at(("query", name), message, "datetime_parsing") from None


def search_terms(query: Query) -> Search | None:
    """The parties to look for, in the spelling of the index; None when nothing is asked."""
    tel, mailto, name = (query.optional(term) for term in ("tel", "mailto", "name"))
    if tel is None and mailto is None and name is None:
        return None
    if tel is not None:
        tel = _NUMBER_AFTER_BLANK.sub("+", without_scheme(tel, "tel:"))
    return Search(tel, None if mailto is None else without_scheme(mailto, "mailto:"), name)


def path_uuid(text: str) -> str:
    """The canonical form of the uuid in a path."""
    try:
        return canonical_uuid(text)
    except ValueError:
        message = "Input should be a valid UUID"
        raise InvalidRequest.at(("path", "vcon_uuid"), message, "uuid_parsing") from None


def uuids_of(texts: Sequence[str], *place: str) -> list[str]:
    """The canonical forms, in order; `place` is where the texts stand, for the error."""
    canonical, problems = [], []
    for number, text in enumerate(texts):
        try:
            canonical.append(canonical_uuid(text))
        except ValueError:
            problem = Problem((*place, number), "Input should be a valid UUID", "uuid_parsing")
            problems.append(problem)
    if problems:
        raise InvalidRequest(problems)
    return canonical
