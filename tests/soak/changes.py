"""What clients do to vCons while their chains run, and to dead letters afterwards."""

import asyncio
import time
from collections.abc import Awaitable
from random import Random
from typing import Any

import httpx
import msgspec

from .api import Api, Trouble
from .cases import Case, Cases
from .documents import CHANGE
from .options import INGRESS, MIDDLE

__all__ = ["Changes", "replay_dead_letters"]

_PATIENCE = 60.0
"""Seconds after which a client gives up; then nobody knows what became of its wish."""


class Changes:
    """`begin` is told of vCons the webhook has just met, and does to each what its case wants."""

    def __init__(self, api: Api, cases: Cases) -> None:
        self._api = api
        self._cases = cases
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, uuid: str) -> None:
        """Change or delete it."""
        case = self._cases.all[uuid]
        work = self._change if case.wish == "change" else self._delete
        task = asyncio.create_task(self._try(case, work(case)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until everything that was begun is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _try(self, case: Case, work: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await work
        except TimeoutError:
            case.unsure = True

    async def _change(self, case: Case) -> None:
        """GET, add an attachment, PUT over exactly that revision; anew when it has changed."""
        path = f"/vcon/{case.uuid}"
        while True:
            read = await self._answered("GET", path)
            if read.status_code != httpx.codes.OK:
                self._cases.problem(f"GET before a PUT: {read.status_code} {case.uuid}")
                return
            document = msgspec.json.decode(read.content)
            attachments = document.setdefault("attachments", [])
            if CHANGE in attachments:
                # A PUT whose answer was lost had got through.
                case.changed = time.monotonic()
                return
            attachments.append(CHANGE)
            headers = {"content-type": "application/json", "if-match": read.headers["etag"]}
            body = msgspec.json.encode(document)
            answer = await self._once("PUT", path, content=body, headers=headers)
            if answer is None or answer.status_code in (409, 412):
                continue
            if answer.status_code == httpx.codes.OK:
                case.changed = time.monotonic()
            else:
                self._cases.problem(f"PUT: {answer.status_code} {answer.text[:200]}")
            return

    async def _delete(self, case: Case) -> None:
        """DELETE until every storage has dropped its copy."""
        case.unsure = True
        while True:
            answer = await self._answered("DELETE", f"/vcon/{case.uuid}")
            if answer.status_code == httpx.codes.NO_CONTENT:
                case.deleted, case.unsure = time.monotonic(), False
                return
            if answer.status_code != httpx.codes.MULTI_STATUS:
                self._cases.problem(f"DELETE: {answer.status_code} {answer.text[:200]}")
                return
            await asyncio.sleep(1.0)

    async def _answered(self, method: str, path: str) -> httpx.Response:
        while True:
            answer = await self._once(method, path)
            if answer is not None:
                return answer

    async def _once(self, method: str, path: str, **request: Any) -> httpx.Response | None:
        """One attempt; None when its outcome is unknown."""
        while True:
            answer = await self._api.ask(method, path, **request)
            if isinstance(answer, httpx.Response) and answer.status_code != 503:
                return answer
            self._cases.counts[f"{method}: repeated"] += 1
            await asyncio.sleep(0.3)
            if answer is not Trouble.UNSENT:
                return None


async def replay_dead_letters(api: Api, random: Random, cases: Cases) -> int:
    """Put some dead letters of either chain back to work; how many."""
    moved = 0
    for name in (INGRESS, MIDDLE):
        count = random.choice((5, 50, 5000))
        answer = await api.ask(
            "POST", "/dlq/reprocess", params={"ingress_list": name, "count": count}
        )
        if isinstance(answer, httpx.Response) and answer.is_success:
            moved += int(answer.text)
    cases.counts["dead letters replayed"] += moved
    return moved
