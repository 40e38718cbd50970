"""What a consumer writes about an entry it owns. Every write is fenced.

An entry that the replica no longer owns changes nothing and comes back as `LOST`.
"""

import enum
from collections.abc import Sequence
from typing import Protocol, Self

import msgspec

from vconflow.model.entry import Entry
from vconflow.model.validation import Facts
from vconflow.ports.history import HistoryRecord

__all__ = [
    "NEVER",
    "UNTOUCHED",
    "Bury",
    "Commit",
    "CommitResult",
    "Defer",
    "Finish",
    "Ledger",
    "Progress",
    "Target",
    "Verdict",
    "decode_progress",
]


class Verdict(enum.Enum):
    """What a commit came to; anything but `DONE` wrote nothing."""

    DONE = "done"
    LOST = "lost"
    """Another replica owns the entry: stop."""
    MOVED = "moved"
    """The document has another revision by now: merge, or store that one, and commit again."""
    DELETED = "deleted"
    """The vCon was deleted meanwhile: remove what was stored, then `Finish(deleted=True)`."""


NEVER = 1 << 53
"""As a time: not before something else happens."""

_AFTER_CRASH = ("crash",)


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far an entry got: its run record, and what a dead letter resumes from.

    Times are Unix milliseconds. `storages` are those still to be written at revision `rev`, None
    while links are left. `stage` names the step that failed last, `attempts` counts its failures
    but those of a rate limit. `planned` are all storages the chain had then. `due` is when it may
    run again, 0 while it is running. `halted` says that a link ended the chain. `deleted` says that
    the vCon was deleted and only its copies are left to remove: its tombstone may end before that
    is done.
    """

    next_link: str = ""
    storages: tuple[str, ...] | None = None
    planned: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    halted: bool = False
    deleted: bool = False
    rev: int = 0
    uuid: str = ""
    """The vCon the chain goes on with, after a link replaced it; empty for the entry's own."""
    came_from: str = ""
    """The vCon that the last link took, if it replaced it."""
    told: tuple[str, ...] = ()
    """The tracers that know already where the vCon is."""
    expire_seconds: int | None = None
    stage: str = ""
    attempts: int = 0
    crashes: int = 0
    due: int = 0
    first_failure: int = 0
    last_failure: int = 0
    throttled_since: int = 0
    """When the rate limit came up that has refused it since; 0 if it failed otherwise."""
    error: str = ""
    trace: str = ""
    """The traceparent of the first attempt, of an entry that brought none."""
    parked: tuple[str, ...] = ()
    """Breakers of which one has to close, besides `due`, before it may run again.

    After a crash it is `crash`, which holds nothing up: it only tells waiting from running.
    """

    @property
    def breakers(self) -> tuple[str, ...]:
        """Those of `parked` that hold it up."""
        return () if self.parked == _AFTER_CRASH else self.parked

    @property
    def rests(self) -> bool:
        """Whether nobody works on it before that has been noted.

        One that has crashed before waits for its turn even when its retry is due.
        """
        return bool(self.parked or (self.crashes and self.due))

    @property
    def rests_until(self) -> int:
        """Until when nobody works on it: the end of its replica before that is no crash of it."""
        return NEVER if self.rests else self.due

    def resumed(self, crashes: int, rests_until: int) -> Self:
        """The same, with what the run record says besides."""
        if rests_until != NEVER:
            return msgspec.structs.replace(self, crashes=crashes, due=rests_until, parked=())
        return msgspec.structs.replace(self, crashes=crashes, parked=self.parked or _AFTER_CRASH)

    def afresh(self) -> Self:
        """Where the replay of a dead letter begins: at the step that failed, with new attempts."""
        return msgspec.structs.replace(
            self,
            attempts=0,
            crashes=0,
            due=0,
            first_failure=0,
            last_failure=0,
            throttled_since=0,
            error="",
            stage="",
            parked=(),
        )


UNTOUCHED = Progress()
"""That of an entry on which nobody has worked yet."""
_decode = msgspec.json.Decoder(Progress).decode


def decode_progress(text: bytes | str) -> Progress:
    """Progress from JSON; of an unreadable one nothing is left but to begin anew."""
    try:
        return _decode(text) if text else UNTOUCHED
    except (msgspec.DecodeError, UnicodeDecodeError):
        return UNTOUCHED


class Target(msgspec.Struct, frozen=True):
    """A list that receives the vCon. `feeds` says whether a chain reads it."""

    list: str
    feeds: bool


class Finish(msgspec.Struct, frozen=True):
    """Acknowledge the entry and hand the vCon on to `targets`.

    `trace` is the W3C traceparent that goes along, empty for the one of the entry.
    `stored` are those storages of the chain that give back `Commit.rev`, which all of them hold.
    `deleted` acknowledges only: the vCon was deleted and its copies are gone.
    """

    origin: str = ""
    targets: tuple[Target, ...] = ()
    stored: tuple[str, ...] = ()
    expire_seconds: int | None = None
    deleted: bool = False
    trace: str = ""


class Defer(msgspec.Struct, frozen=True):
    """Keep the entry pending and owned, and remember its progress."""

    progress: Progress


class Bury(msgspec.Struct, frozen=True):
    """Move the entry to the dead letters of its list.

    `stage` is `link:<name>`, `tracer:<name>`, `storage:<name>[,<name>]`, `document`, `commit` or
    `crash`.
    `even_deleted` buries the entry of a deleted vCon too: its copies could not be removed.
    """

    progress: Progress
    chain: str
    stage: str
    error_type: str
    error: str
    traceback: str = ""
    even_deleted: bool = False


class Commit(msgspec.Struct, frozen=True):
    """Write the document, if it changed, then decide what becomes of the entry: in one step.

    `uuid` is the vCon written (another than `entry.uuid` after `Replace`), `rev` the revision it
    is based on; 0 means that it does not matter, or that there was none: then what has one by now
    is neither overwritten nor noted as stored. `facts` are those of `document`, given only when
    the parties changed.
    Without `then` the entry simply stays pending.
    `previous_index` is `Document.index` of what was read: where the old revision is indexed.
    `new_rev`, above `rev`, is the revision the document gets, when the storages have it as that
    already; 0 leaves the choice to the server.
    `record` goes to the history of the entry's vCon, and of the one written if that is another.
    """

    entry: Entry
    uuid: str
    rev: int = 0
    born: int = 0
    document: bytes | None = None
    facts: Facts | None = None
    previous_index: str = ""
    then: Finish | Defer | Bury | None = None
    record: HistoryRecord | None = None
    new_rev: int = 0


class CommitResult(msgspec.Struct, frozen=True):
    """The verdict, and the revision the document now has."""

    verdict: Verdict
    rev: int = 0


class Ledger(Protocol):
    """Fenced bookkeeping of owned entries."""

    async def commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        """Treat each item alone; one result per item.

        Raises `Unavailable` when Redis is away: then the caller commits again.
        """
        ...
