"""Ids of all shards in one order.

Streams of different shards give the same ids. `1700-4` of shard 2 of 16 is `1700-66` outside
(4 * 16 + 2): still an id as Redis makes them, which no other shard's entry has, and which grows
with time and within its shard.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

__all__ = ["Numbering", "order"]

_LAST = (1 << 64) - 1


@dataclass(frozen=True)
class Numbering:
    """The shards by number, from 0 to `count` - 1."""

    count: int

    def of_uuid(self, uuid: str) -> int:
        """The shard of a vCon, for ever: changing this means moving the data."""
        return crc32(uuid.encode()) % self.count

    def whole(self, shard: int, entry: str) -> str:
        """The id outside of an entry of a shard."""
        ms, number = _parts(entry)
        return f"{ms}-{number * self.count + shard}"

    def inner(self, entry: str) -> tuple[int, str]:
        """The shard of an entry, and its id there."""
        ms, number = _parts(entry)
        return number % self.count, f"{ms}-{number // self.count}"

    def last_until(self, entry: str, shard: int) -> str:
        """The id that an entry of a shard has at most to come no later than another one.

        An empty `entry` stays empty.
        """
        if not entry:
            return ""
        ms, number = _parts(entry)
        if number < shard:
            return f"{ms - 1}-{_LAST}" if ms else "0-0"
        return f"{ms}-{(number - shard) // self.count}"

    def split(self, entries: Iterable[str]) -> dict[int, list[str]]:
        """Ids within each shard, by shard."""
        found: dict[int, list[str]] = {}
        for entry in entries:
            shard, name = self.inner(entry)
            found.setdefault(shard, []).append(name)
        return found


def order(entry: str) -> tuple[int, int]:
    """By what entries are older and younger."""
    return _parts(entry)


def _parts(entry: str) -> tuple[int, int]:
    ms, _, number = entry.partition("-")
    return int(ms), int(number or 0)
