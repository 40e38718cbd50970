"""Sending: a steady rate and bursts, single and in bulk, each vCon until it is accepted."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from random import Random

import httpx

from .api import Api, Trouble
from .cases import Case, Cases
from .documents import Documents
from .options import INGRESS, Options

__all__ = ["Load"]

_MOST_SENDING = 400
_MEAN_SECONDS_BETWEEN_BURSTS = 15.0
_LISTS = {"ingress_lists": INGRESS}


class Load:
    """`run` sends for a while, `finish` waits for what is still being sent."""

    def __init__(self, api: Api, cases: Cases, documents: Documents, options: Options) -> None:
        self._api = api
        self._cases = cases
        self._documents = documents
        self._options = options
        self._random = Random(options.seed)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send for the time of the run."""
        now = began = time.monotonic()
        next_burst = began + self._next_burst()
        while now < began + self._options.seconds:
            if now >= next_burst:
                self._burst()
                next_burst = now + self._next_burst()
            if len(self._tasks) < _MOST_SENDING:
                self._spawn(self._send(self._cases.new()))
            else:
                self._cases.counts["not sent, too many under way"] += 1
            await asyncio.sleep(self._random.expovariate(self._options.rate))
            now = time.monotonic()

    async def finish(self) -> None:
        """Every vCon is sent until it is accepted; raises TimeoutError when that takes long."""
        async with asyncio.timeout(120):
            while self._tasks:
                await asyncio.wait(self._tasks)

    def _next_burst(self) -> float:
        return self._random.expovariate(1 / _MEAN_SECONDS_BETWEEN_BURSTS)

    def _burst(self) -> None:
        cases = [self._cases.new() for _ in range(self._options.burst)]
        if self._random.random() < 0.5:
            self._spawn(self._send_bulk(cases))
        else:
            for case in cases:
                self._spawn(self._send(case))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._cases.problem(f"the load itself failed: {error!r}")

    async def _send(self, case: Case) -> None:
        body = self._documents.make(case.template, case.uuid)
        headers = {"content-type": "application/json"}
        answer = await self._until_answered([case], "/vcon", body, headers)
        if answer.status_code == httpx.codes.CREATED:
            case.accepted = time.monotonic()
        else:
            self._cases.problem(f"POST /vcon: {answer.status_code} {answer.text[:200]}")

    async def _send_bulk(self, cases: Sequence[Case]) -> None:
        body = b"\n".join(self._documents.make(case.template, case.uuid) for case in cases)
        headers = {"content-type": "application/x-ndjson"}
        answer = await self._until_answered(cases, "/vcons", body, headers)
        if answer.status_code != httpx.codes.OK:
            self._cases.problem(f"POST /vcons: {answer.status_code} {answer.text[:200]}")
            return
        refused = {item["line"] for item in answer.json()["rejected"]}
        self._cases.counts["lines rejected in bulk"] += len(refused)
        now = time.monotonic()
        for line, case in enumerate(cases, start=1):
            if line in refused:
                self._spawn(self._send(case))
            else:
                case.accepted = now

    async def _until_answered(
        self, cases: Sequence[Case], path: str, body: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        while True:
            answer = await self._api.ask("POST", path, params=_LISTS, content=body, headers=headers)
            if answer is Trouble.UNSENT:
                await asyncio.sleep(0.2)
                continue
            # Even behind a 503 may stand an acceptance whose outcome could not be settled.
            for case in cases:
                case.sends += 1
            if answer is Trouble.UNKNOWN:
                self._cases.counts["POST: answer lost"] += 1
                await asyncio.sleep(0.2)
            elif answer.status_code in (429, 503):
                self._cases.counts[f"POST: {answer.status_code}"] += 1
                await asyncio.sleep(min(2.0, float(answer.headers.get("retry-after", "1"))))
            else:
                return answer
