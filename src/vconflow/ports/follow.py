"""Pulling another server's egress list, without losing an id that has left it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from vconflow.ports.component import Secret

__all__ = [
    "Follow",
    "FollowJournal",
    "FollowerControl",
    "FollowerStatus",
    "Handed",
    "Handover",
    "Parked",
    "Remote",
]


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to follow: `egress_list` at `url` goes into our list `into`.

    `interval` is in seconds, from a pull that brought less than `limit` ids to the next one.
    Nothing is pulled unless a chain reads `into`, as `is_read` says.
    """

    name: str
    url: str
    egress_list: str
    into: str
    auth_token: Secret | None = None
    interval: float = 60.0
    limit: int = 1
    is_read: bool = True


class Handed(msgspec.Struct, frozen=True):
    """One id that came out of an egress list.

    `entry` names this time that it came out; `uuid` is what the other side wrote, unchecked.
    """

    entry: str
    uuid: str


class Handover(msgspec.Struct, frozen=True):
    """What one pull brought.

    `receipts` acknowledge it to a server that keeps what is not acknowledged; without any, the
    ids have left the other side for good.
    """

    handed: tuple[Handed, ...] = ()
    receipts: tuple[str, ...] = ()


class Parked(msgspec.Struct, frozen=True):
    """An id that cannot be had: `reason` is one word, `error` says more, `at` is Unix seconds."""

    entry: str
    uuid: str
    reason: str
    error: str
    at: float


class FollowerStatus(msgspec.Struct, frozen=True):
    """How following another server goes: `waiting` ids are pulled and not stored yet, `parked`
    ones cannot be had. `here` says that the replica that answers is the one that follows; only
    that one knows of an `error`, which is empty while all is well.
    """

    name: str
    egress_list: str
    follower_ingress_list: str
    here: bool
    error: str
    waiting: int
    parked: int


class FollowerControl(Protocol):
    """Looking at followers, and at what they have parked. Raises `Retryable`.

    Methods that take a name raise `NotFound` for one that is not configured.
    """

    async def followers(self) -> list[FollowerStatus]:
        """All that are configured."""
        ...

    async def parked(self, name: str, count: int) -> list[Parked]:
        """What is parked, the oldest first, at most about `count`."""
        ...

    async def retry(self, name: str) -> int:
        """Fetch everything that is parked once more; how many."""
        ...

    async def drop(self, name: str) -> int:
        """Forget everything that is parked; how many."""
        ...


class Remote(Protocol):
    """The other server.

    Every method raises `Retryable` for whatever may pass, refused keys included: somebody mends
    them, and no id may be given up meanwhile.
    """

    async def pull(self, limit: int) -> Handover:
        """Take the oldest ids out of the egress list."""
        ...

    async def acknowledge(self, receipts: Sequence[str]) -> None:
        """Say that what was handed over is safe here."""
        ...

    async def document(self, uuid: str) -> bytes | None:
        """The vCon byte for byte, None if the server has it no more.

        Raises `Permanent` for one that cannot be had by asking again.
        """
        ...


class FollowJournal(Protocol):
    """The ids that have left the other side and are not vCons here yet, by follower.

    Raises `Unavailable` or `Permanent` as Redis does. Every method may be repeated.
    """

    async def hold(self, follower: str, seconds: float) -> bool:
        """Take or keep the turn of this replica to follow; False while another one has it."""
        ...

    async def release(self, follower: str) -> None:
        """Give the turn away, if it is ours."""
        ...

    async def add(self, follower: str, handed: Sequence[Handed], due: float) -> None:
        """Write ids down, to be fetched from `due` (Unix seconds) on."""
        ...

    async def due(self, follower: str, now: float, count: int) -> list[Handed]:
        """The ids that are to be fetched by `now`, the first written first."""
        ...

    async def postpone(self, follower: str, handed: Sequence[Handed], due: float) -> None:
        """Fetch these again from `due` on."""
        ...

    async def done(self, follower: str, handed: Sequence[Handed]) -> None:
        """Cross out what is stored here."""
        ...

    async def park(self, follower: str, parked: Sequence[Parked]) -> None:
        """Move ids to the parking place, in one step."""
        ...

    async def waiting(self, follower: str) -> tuple[int, int]:
        """How many ids are written down, and how many are parked."""
        ...

    async def parked(self, follower: str, count: int) -> list[Parked]:
        """Some of what is parked, at most `count`."""
        ...

    async def unpark(self, follower: str, due: float) -> int:
        """Write all that is parked down again, to be fetched from `due` on; how many."""
        ...

    async def drop(self, follower: str) -> int:
        """Forget all that is parked; how many."""
        ...
