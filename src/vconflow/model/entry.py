"""What travels on a stream: an entry points to a vCon, it never holds one."""

import re

import msgspec

__all__ = ["Entry", "StoredVcon", "split_lease_id"]

_LEASE_ID = re.compile(r"[0-9]{1,18}-[0-9]{1,18}\.[0-9]{1,9}")


class Entry(msgspec.Struct, frozen=True):
    """One entry of a list's stream.

    `id` is the stream id (`<ms>-<n>`), unique within its list; `at` is when the vCon was put on
    the list, in Unix milliseconds; `origin` says what put it there (`http`, `chain:main`,
    `replay`); `trace` is a W3C traceparent or empty; `progress` is where a replayed dead letter
    goes on, as JSON; `egress` says that it was put on the list while no chain read that.
    `turn` counts how often an egress list has handed it out, 0 elsewhere.
    """

    id: str
    list: str
    uuid: str
    at: int
    origin: str = ""
    trace: str = ""
    progress: bytes = b""
    egress: bool = False
    turn: int = 0

    @property
    def lease_id(self) -> str:
        """This entry on this lease of an egress list: another lease of it has another."""
        return f"{self.id}.{self.turn}"

    @property
    def counted(self) -> str:
        """The counter of the vCon's meta hash in which this entry is counted."""
        return "egress" if self.egress else "open"


def split_lease_id(lease_id: str) -> tuple[str, int]:
    """The entry id and the turn of an `Entry.lease_id`. Raises ValueError for anything else."""
    if not _LEASE_ID.fullmatch(lease_id):
        raise ValueError("is not an id of a lease")
    entry_id, _, turn = lease_id.partition(".")
    return entry_id, int(turn)


class StoredVcon(msgspec.Struct, frozen=True):
    """A revision of a vCon on its way to the storages.

    `rev` grows with every change of the document, also across DELETE and a new POST, so a
    storage may refuse a revision older than the one it holds. `created_at` is Unix seconds.
    `trace` is the W3C traceparent of the run that stores it, empty while no spans are made.
    """

    uuid: str
    rev: int
    document: bytes
    created_at: float
    trace: str = ""
