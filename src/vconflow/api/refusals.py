"""What only HTTP can be refused for; `errors.py` gives each its status.

VconflowError
├── InvalidRequest       a parameter or a body is malformed; problems with their places
├── BadRequest           the request as a whole makes no sense
├── Forbidden            no valid API key, or one that may not do this
├── TooManyRequests      the key or the address has asked too often; with `retry_after`
├── UnknownPath          no route has this path
├── WrongMethod          the route exists for other methods
├── TooLarge             the body is longer than VCONFLOW_MAX_BODY_BYTES, packed or unpacked
├── UnsupportedBody      a content type or encoding that is not read here
└── Disconnected         the client went away before its request was complete: nobody to answer
"""

from collections.abc import Sequence

from vconflow.errors import Problem, VconflowError

__all__ = [
    "BadRequest",
    "Disconnected",
    "Forbidden",
    "InvalidRequest",
    "TooLarge",
    "TooManyRequests",
    "UnknownPath",
    "UnsupportedBody",
    "WrongMethod",
]


class InvalidRequest(VconflowError):
    """A parameter or a body is malformed; the places start at `query`, `path` or `body`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    @classmethod
    def at(cls, loc: tuple[str | int, ...], message: str, kind: str) -> "InvalidRequest":
        """Return a refusal for a single problem."""
        return cls([Problem(loc, message, kind)])


class BadRequest(VconflowError):
    """The request as a whole makes no sense."""


class Forbidden(VconflowError):
    """The request carries no valid API key, or one that may not do this."""


class TooManyRequests(VconflowError):
    """The key or the address has asked too often; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnknownPath(VconflowError):
    """No route has this path."""


class WrongMethod(VconflowError):
    """The path exists for other methods, named by `allow`."""

    def __init__(self, allow: str) -> None:
        super().__init__("Method Not Allowed")
        self.allow = allow


class TooLarge(VconflowError):
    """The body is longer than allowed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes")


class UnsupportedBody(VconflowError):
    """The content type or encoding is not read here."""


class Disconnected(VconflowError):
    """The client went away before its request was complete."""
