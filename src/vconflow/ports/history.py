"""What happened to a vCon, as it is remembered for a while and told to whoever listens."""

from collections.abc import Sequence
from typing import Literal, Protocol, Self, get_args

import msgspec

__all__ = ["KINDS", "History", "HistoryRecord", "Kind", "StepTime"]

Kind = Literal[
    "accepted",
    "enqueued",
    "completed",
    "halted",
    "failed",
    "dead-lettered",
    "handed-out",
    "replayed",
    "deleted",
]
"""`accepted` is stored anew (POST, PUT, bulk), `enqueued` put on a list as it was stored; `failed`
is tried again later; `handed-out` went to a client by egress and was acknowledged.
"""

KINDS: tuple[Kind, ...] = get_args(Kind)


class StepTime(msgspec.Struct, frozen=True, omit_defaults=True):
    """A link or storage that a chain ran: how many milliseconds it took.

    `outcome` of a link is `continue`, `halt`, `route`, `replace`, `retryable`, `permanent` or
    `timeout`; of a storage it is empty or `failed`.
    """

    name: str
    ms: float
    outcome: str = ""

    @classmethod
    def took(cls, name: str, seconds: float, outcome: str = "") -> Self:
        """With a time in seconds, shown to the microsecond."""
        # `round` writes and reads a text for it, which takes longer than some links.
        return cls(name, int(seconds * 1e6 + 0.5) / 1e3, outcome)


class HistoryRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that happened to a vCon; as JSON it leaves out what does not apply.

    `at` is Unix milliseconds, by the clock of Redis. `lists` are those it was put on: by
    `accepted` and `enqueued` for chains, by `completed` and `halted` the egress of the chain.
    `list` and `entry` are the entry that was processed, handed out, buried or replayed. `links` and
    `storages` are those of this attempt. `owner` is the name of the API key that sent it. It never
    holds content of the conversation; `error` is what the dead letter shows, cut short.
    """

    kind: Kind = msgspec.field(name="type")
    at: int = 0
    uuid: str = ""
    chain: str = ""
    list: str = ""
    entry: str = ""
    lists: tuple[str, ...] = ()
    source: str = ""
    owner: str = ""
    links: tuple[StepTime, ...] = ()
    storages: tuple[StepTime, ...] = ()
    attempts: int = 0
    stage: str = ""
    error_type: str = ""
    error: str = ""
    replica: str = ""


class History(Protocol):
    """Reading what is remembered."""

    async def of(self, uuid: str) -> Sequence[HistoryRecord]:
        """The records of a vCon, oldest first; empty when nothing is remembered.

        Their number is bounded: the first one and the newest are kept. Raises Unavailable.
        """
        ...
