"""Finding, replaying and purging dead letters of any number, in bounded steps.

A step looks at so many letters and returns a position with which the next one goes on. So neither
memory nor Redis nor the event loop is held, and a step whose answer was lost can be asked again.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import replace

from vconflow.ports.dead_letters import DeadLetter, DeadLetters

__all__ = ["MOST_SCANNED", "DeadLetterFilter", "DeadLetterPasses", "Position", "Step"]

MOST_SCANNED: Final = 2_000
"""So many letters, and less than a chunk more, are looked at in one step."""
_CHUNK: Final = 200


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Which dead letters are meant; what is empty does not matter.

    `stage` is a whole stage (`link:summary`), one storage of several (`storage:pg`), or the kind
    (`link`, `storage`). `error` is a part of the error's type or message, whatever its case.
    """

    chain: str = ""
    stage: str = ""
    error: str = ""

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        if self.chain and letter.chain != self.chain:
            return False
        if self.stage and self.stage not in _stages(letter.stage):
            return False
        part = self.error.casefold()
        return part in letter.error.casefold() or part in letter.error_type.casefold()


def _stages(stage: str) -> set[str]:
    kind, _, names = stage.partition(":")
    return {stage, kind, *(f"{kind}:{name}" for name in names.split(","))}


class Position(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """How far a pass came; it takes the lists in the order of their names.

    In `list` it went up to `after` and will go up to `until`, the newest letter when it came
    there; without `until` it is through with that list. `bound` is the newest of all letters when
    the pass began.
    """

    list: str = ""
    bound: str = ""
    after: str = ""
    until: str = ""


@dataclass(frozen=True)
class Step:
    """How many letters a step moved, how many it looked at, and where the next one begins."""

    moved: int
    scanned: int
    position: Position | None


Act = Callable[[str, list[DeadLetter]], Awaitable[int]]


@dataclass(frozen=True)
class DeadLetterPasses:
    """Passes over the dead letters of lists, step by step.

    What dies after a pass began is no part of it; above all not what it replayed itself.
    """

    store: DeadLetters

    async def total(self, lists: Collection[str]) -> int:
        """How many dead letters the lists have."""
        return sum(extent.count for extent in (await self.store.extents(list(lists))).values())

    async def newest(self, lists: Collection[str], limit: int) -> tuple[list[DeadLetter], int]:
        """The last `limit` letters of all lists, the newest first, and how many there are."""
        extents = await self.store.extents(list(lists))
        found: list[DeadLetter] = []
        for name in sorted(extents, key=lambda name: _order(extents[name].newest), reverse=True):
            if len(found) == limit and _order(extents[name].newest) < _order(found[-1].id):
                break  # neither this list nor those that follow have a newer one
            found += await self.store.newest(name, limit)
            found = sorted(found, key=lambda letter: _order(letter.id), reverse=True)[:limit]
        return found, sum(extent.count for extent in extents.values())

    async def page(
        self,
        lists: Collection[str],
        chosen: DeadLetterFilter,
        limit: int,
        position: Position | None = None,
    ) -> tuple[list[DeadLetter], Position | None]:
        """At most `limit` letters that match, perhaps none yet, and where to go on for more."""
        found: list[DeadLetter] = []

        async def keep(_: str, letters: list[DeadLetter]) -> int:
            found.extend(letters)
            return len(letters)

        step = await self._step(lists, chosen, limit, position, keep)
        return found, step.position

    async def replay(
        self,
        lists: Collection[str],
        chosen: DeadLetterFilter,
        limit: int,
        position: Position | None = None,
        *,
        from_start: bool = False,
    ) -> Step:
        """Put at most `limit` letters that match back to work; see `DeadLetters.replay`.

        With a limit of 0 nothing is moved: the position returned fixes where the pass will end.
        """

        async def move(name: str, letters: list[DeadLetter]) -> int:
            ids = [letter.id for letter in letters]
            return await self.store.replay(name, ids, from_start=from_start)

        return await self._step(lists, chosen, limit, position, move)

    async def purge(
        self,
        lists: Collection[str],
        chosen: DeadLetterFilter,
        limit: int,
        position: Position | None = None,
    ) -> Step:
        """Drop at most `limit` letters that match, for good; a limit of 0 is as for `replay`."""

        async def drop(name: str, letters: list[DeadLetter]) -> int:
            return await self.store.drop(name, [letter.id for letter in letters])

        return await self._step(lists, chosen, limit, position, drop)

    async def _step(
        self,
        lists: Collection[str],
        chosen: DeadLetterFilter,
        limit: int,
        position: Position | None,
        act: Act,
    ) -> Step:
        at = await self._enter(lists, position or await self._begin(lists))
        moved = taken = scanned = 0
        while at is not None and taken < limit and scanned < MOST_SCANNED:
            name = at.list
            letters, looked_at, at = await self._look(at, chosen, limit - taken)
            taken += len(letters)
            scanned += looked_at
            moved += await act(name, letters) if letters else 0
            at = await self._enter(lists, at)
        return Step(moved, scanned, at)

    async def _begin(self, lists: Collection[str]) -> Position:
        extents = (await self.store.extents(list(lists))).values()
        return Position(bound=max((e.newest for e in extents), key=_order, default=""))

    async def _enter(self, lists: Collection[str], at: Position) -> Position | None:
        """Where the pass is, or the next list when it is through with one, or None at the end."""
        if at.until and at.list in lists:
            return at
        later = sorted(name for name in lists if name > at.list) if at.bound else []
        for name, extent in (await self.store.extents(later)).items():
            # Ids follow the clock of Redis, but each list's own ids grow even when that jumps back.
            return Position(name, at.bound, until=min(extent.newest, at.bound, key=_order))
        return None

    async def _look(
        self, at: Position, chosen: DeadLetterFilter, room: int
    ) -> tuple[list[DeadLetter], int, Position]:
        """The letters of the next chunk that match, `room` at most; how many were looked at."""
        chunk = await self.store.browse(at.list, after=at.after, until=at.until, count=_CHUNK)
        matching: list[DeadLetter] = []
        looked_at = 0
        for letter in chunk:
            looked_at += 1
            if chosen.matches(letter):
                matching.append(letter)
            if len(matching) == room:
                break  # the rest of the chunk is left for the next step
        last = chunk[looked_at - 1].id if chunk else at.until
        ended = last == at.until or looked_at == len(chunk) < _CHUNK
        following = Position(at.list, at.bound)
        return matching, looked_at, following if ended else replace(at, after=last)


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-"))) if entry_id else ()
