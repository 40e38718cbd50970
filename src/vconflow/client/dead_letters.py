"""Looking at dead letters of a server, replaying and purging them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from vconflow.client.requests import Requests

__all__ = ["Conditions", "DeadLetterRequests", "PassStep"]

Conditions = Mapping[str, str]
"""Values of `list`, `chain`, `stage` and `error`; none for all dead letters."""

AT_ONCE: Final = 1_000
"""So many letters one request is about at most."""

AnswerT = TypeVar("AnswerT")


class PassStep(msgspec.Struct, frozen=True):
    """What one request of a replay or purge did.

    How many letters it moved, at how many it looked, how many are left in the lists concerned, and
    the cursor for the next request, None when there is none to make.
    """

    scanned: int
    total: int
    replayed: int = 0
    purged: int = 0
    cursor: str | None = None

    @property
    def moved(self) -> int:
        """How many were replayed or purged."""
        return self.replayed + self.purged


class _Page(msgspec.Struct):
    dead_letters: list[dict[str, Any]]
    cursor: str | None


class DeadLetterRequests:
    """Part of `Client`. Every method raises Rejected or GaveUp.

    Replays and purges go step by step: a first one with the limit 0 and no cursor fixes where the
    pass ends, each further one is given the cursor of the one before. So a step does nothing twice
    when it is repeated because its answer was lost.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def list(self, conditions: Conditions) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the dead letters that match, list by list, oldest first."""
        query = {**conditions, "limit": "200"}
        while True:
            page = await self._get(_Page, "/dead-letters", query)
            for letter in page.dead_letters:
                yield letter
            if page.cursor is None:
                return
            query["cursor"] = page.cursor

    async def show(self, letter_id: str) -> dict[str, Any]:
        """Everything about one dead letter."""
        return await self._get(dict[str, Any], _path(letter_id), {})

    async def replay(
        self,
        conditions: Conditions,
        *,
        limit: int,
        cursor: str | None,
        resume: Literal["failed", "start"] = "failed",
    ) -> PassStep:
        """Put at most `limit` that match back to work, from where they failed or from the start."""
        wanted = {**_step(conditions, limit, cursor), "from": resume}
        answer = await self._requests.send("POST", "/dead-letters/replay", json=wanted)
        return self._decoded(PassStep, answer)

    async def replay_ids(
        self, ids: Sequence[str], resume: Literal["failed", "start"] = "failed"
    ) -> int:
        """Put these back to work; how many were there."""
        moved = 0
        for start in range(0, len(ids), AT_ONCE):
            wanted = {"ids": ids[start : start + AT_ONCE], "from": resume}
            answer = await self._requests.send("POST", "/dead-letters/replay", json=wanted)
            moved += self._decoded(PassStep, answer).moved
        return moved

    async def purge(self, conditions: Conditions, *, limit: int, cursor: str | None) -> PassStep:
        """Drop at most `limit` that match for good; without conditions really all of them."""
        everything = {} if conditions else {"all": "true"}
        query = {**_step(conditions, limit, cursor), **everything}
        answer = await self._requests.send("DELETE", "/dead-letters", params=query)
        return self._decoded(PassStep, answer)

    async def drop(self, letter_id: str) -> bool:
        """Drop this one for good; whether it was there."""
        codes = httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND
        answer = await self._requests.send("DELETE", _path(letter_id), *codes)
        return answer.status_code == httpx.codes.NO_CONTENT

    async def _get(self, kind: type[AnswerT], path: str, query: Mapping[str, str]) -> AnswerT:
        return self._decoded(kind, await self._requests.send("GET", path, params=query))

    def _decoded(self, kind: type[AnswerT], answer: httpx.Response) -> AnswerT:
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._requests.stranger(answer) from None


def _step(conditions: Conditions, limit: int, cursor: str | None) -> dict[str, Any]:
    step: dict[str, Any] = {**conditions, "limit": limit}
    return step if cursor is None else {**step, "cursor": cursor}


def _path(letter_id: str) -> str:
    return f"/dead-letters/{quote(letter_id, safe='')}"
