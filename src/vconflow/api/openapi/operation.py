"""What a route reads and answers, in so few words that a table of them can be read."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

__all__ = ["JSON", "Answer", "Body", "Header", "Link", "Operation", "Parameter", "text"]

JSON = "application/json"

Kind = Any
"""A type that msgspec knows, or a dict that is JSON Schema already."""


class Parameter(NamedTuple):
    """A parameter; `where` is `query`, `path` or `header`.

    A list in the query is written by repeating the name.
    """

    name: str
    kind: Kind
    description: str
    where: str = "query"
    required: bool = False
    example: Any = None


class Body(NamedTuple):
    """A request body: a schema by media type, and whether it must be there."""

    kinds: Mapping[str, Kind]
    description: str = ""
    required: bool = True
    example: Any = None


class Header(NamedTuple):
    """A response header; always sent unless it is not `required`."""

    name: str
    description: str
    kind: Kind = str
    required: bool = True


class Answer(NamedTuple):
    """A response; without a `kind` it has no body."""

    status: int
    description: str
    kind: Kind = None
    headers: tuple[Header, ...] = ()
    media_type: str = JSON


class Link(NamedTuple):
    """The uuid in the answer of this operation opens other ones.

    `expression` says where it stands, `parameter` what it is there, `to` names operations.
    """

    expression: str
    parameter: str
    to: tuple[str, ...]


class Operation(NamedTuple):
    """All that a route reads and answers, beside what every route of its kind may answer."""

    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    errors: tuple[int, ...] = ()
    links: tuple[Link, ...] = ()


def text(least: int = 1, most: int | None = None, pattern: str | None = None) -> Any:
    """The kind of a text by its length or pattern."""
    return Annotated[str, Meta(min_length=least, max_length=most, pattern=pattern)]
