"""Every exception vconflow raises on purpose.

VconflowError
├── ConfigError          the configuration is wrong; carries every problem with its place
├── InvalidVcon          a body is no vCon we can accept; carries every problem with its place
├── NotFound             no such vCon, list, chain or entry
├── Conflict             the request contradicts what is stored; repeating it cannot help
│   └── RevisionMismatch     If-Match named another revision
├── Retryable            try again later: an outage, a timeout, a 5xx
│   ├── Unavailable          Redis or the service itself cannot take work now
│   ├── Overloaded           more work is under way than we allow
│   ├── Throttled            more is asked than the other side allows: its rate limit
│   ├── Refused              the other side works, and does not take this one vCon for now
│   └── SourceAway           what this one vCon points to cannot be fetched now
├── Permanent            trying again cannot help: a refused credential, a 4xx, a poison vCon
└── PartialFailure       some items of a batch failed; names them

"Try again" (`Retryable`), "poison" (`Permanent`) and "stop" (`asyncio.CancelledError`) are three
different things and never share a type. An adapter maps its driver's exceptions to the first two
in one table.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = [
    "ConfigError",
    "Conflict",
    "InvalidVcon",
    "NotFound",
    "Overloaded",
    "PartialFailure",
    "Permanent",
    "Problem",
    "Refused",
    "Retryable",
    "RevisionMismatch",
    "SourceAway",
    "Throttled",
    "Unavailable",
    "VconflowError",
]


class VconflowError(Exception):
    """Root of all errors that vconflow raises on purpose."""


class Problem(NamedTuple):
    """One thing that is wrong, and where.

    `loc` is the path from the root of the document, e.g. `("dialog", 0, "parties")`; `type` is a
    stable machine-readable word such as `missing`, `out_of_range` or `unknown_option`.
    The message never quotes the content of a conversation.
    """

    loc: tuple[str | int, ...]
    message: str
    type: str = "value_error"

    @property
    def place(self) -> str:
        """The path as people write it: `dialog[0].parties`."""
        text = ""
        for part in self.loc:
            if isinstance(part, int):
                text += f"[{part}]"
            else:
                text += f".{part}" if text else part
        return text

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.loc else self.message


class _ProblemsError(VconflowError):
    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


class ConfigError(_ProblemsError):
    """The configuration is wrong; `problems` lists everything found, not just the first."""


class InvalidVcon(_ProblemsError):
    """The bytes are no vCon that can be accepted; `problems` says why and where."""


class NotFound(VconflowError):
    """The thing asked for does not exist."""


class Conflict(VconflowError):
    """The request contradicts what is stored."""


class RevisionMismatch(Conflict):
    """The vCon has another revision than the caller expected."""


class Retryable(VconflowError):
    """It failed, and the same thing may succeed later.

    `retry_after` is the least number of seconds to wait, when the other side named one.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Retryable):
    """Redis is away or refuses work, or vconflow is stopping."""


class Overloaded(Retryable):
    """More requests are waiting than vconflow holds in memory."""


class Throttled(Retryable):
    """The other side takes no more of us for now: a 429.

    It says how much we ask, and nothing about what was asked.
    """


class Refused(Retryable):
    """The other side answers, and may take later what it does not take now: a webhook's 404, say.

    It is no outage, so nobody else's work waits for it.
    """


class SourceAway(Retryable):
    """What this one vCon points to cannot be fetched now: a recording at its URL, say.

    Whoever wrote the vCon chose where that is, so nobody else's work waits for it.
    """


class Permanent(VconflowError):
    """It failed, and trying the same thing again cannot help."""


class PartialFailure(VconflowError):
    """Some items of a batch failed; the others are done.

    `failures` maps the uuid of each failed vCon to its own `Retryable` or `Permanent`.
    """

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        self.failures = dict(failures)
        super().__init__(f"{len(self.failures)} of the batch failed")
