"""Where the lists of a conserver go."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

__all__ = ["Moved", "Refusal", "Route", "context_key", "dead_list", "raw_key", "storage_dead_list"]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One Redis list of a conserver, and what its elements become in `target`, a list of ours.

    `feeds` says whether a chain reads `target`. The conserver pops ingress lists at the head, and
    what it gives away or buries at the tail: `from_head`. `chain` and `storages` are those of a
    dead letter; `storage` is the one that its replay is about, when it is about one only.
    """

    source: str
    target: str
    kind: Literal["ingress", "egress", "dead"]
    feeds: bool = True
    from_head: bool = True
    chain: str = ""
    storage: str = ""
    storages: Sequence[str] = ()


class Refusal(msgspec.Struct, frozen=True):
    """What could not be taken over as it is: its key, why, and where it is now."""

    key: str
    reason: str
    kept: str


class Moved(msgspec.Struct):
    """How many were taken over and put away."""

    moved: int = 0
    refused: int = 0


def dead_list(name: str) -> str:
    """The Redis list of the dead letters of an ingress list."""
    return f"DLQ:{name}"


def storage_dead_list(name: str) -> str:
    """The Redis list of the vCons that a storage could not write."""
    return f"DLQ:storage:{name}"


def context_key(source: str, uuid: str) -> str:
    """The Redis list of the traces under which a vCon was put on a list."""
    return f"context:{source}:{uuid}"


def raw_key(key: str) -> Any:
    """A key or name as the bytes it came as, also when these are no UTF-8."""
    return key.encode(errors="surrogateescape")
