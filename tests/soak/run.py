"""A soak from the first server to the last count."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from vconflow.pipeline.cancelling import cancel_all

from .api import Api, open_api
from .cases import Cases
from .changes import Changes, replay_dead_letters
from .display import Display
from .documents import Copy, Documents
from .egress import Egress
from .faults import Fault, FaultLog, schedule
from .injection import strike
from .inspection import Depth, Inspector, read_copies
from .load import Load
from .logs import Logged, read_logs
from .options import FINAL, FIRST, INGRESS, MIDDLE, Options
from .replica import Life
from .stage import Stage, open_stage
from .verdict import Account, Observed, account
from .webhook import Webhook

__all__ = ["Soaked", "soak"]

_SECONDS_BETWEEN_REPLAYS = 25.0
_REPLAYS_AT_THE_END = 3


@dataclass(frozen=True)
class Soaked:
    """All that a run has shown. Times of `lives` and `redis_memory` are monotonic."""

    options: Options
    account: Account
    cases: Cases
    log: FaultLog
    lives: list[Life]
    unexpected: list[str]
    redis_memory: list[tuple[float, int]]
    depths: dict[str, Depth]
    dead_ever: dict[str, int]
    logged: Logged
    began: float
    loaded: float
    """When the load ended."""
    settled: float
    """When nothing was left to do; 0 when that took too long."""


async def soak(options: Options, folder: Path, display: Display) -> Soaked:
    """Run it in an empty folder, which keeps configuration, logs and stored vCons."""
    documents = Documents()
    cases = Cases(options.seed, len(documents))
    met: asyncio.Queue[str] = asyncio.Queue()
    webhook = Webhook(cases, options.seed, met.put_nowait)
    async with (
        open_stage(options, folder, webhook) as stage,
        open_api(stage.replicas, options.seed) as api,
        Redis.from_url(stage.redis.url, socket_timeout=10) as redis,
    ):
        run = _Run(options, documents, cases, stage, display, met, api, Inspector(redis))
        soaked = await run.whole()
    # Only now have the replicas drained, and written their last lines.
    soaked.unexpected.extend(item for replica in stage.replicas for item in replica.unexpected)
    soaked.lives.extend(life for replica in stage.replicas for life in replica.lives)
    logged = read_logs(replica.log for replica in stage.replicas)
    soaked.logged.events.update(logged.events)
    soaked.logged.errors.update(logged.errors)
    return soaked


class _Run:
    def __init__(
        self,
        options: Options,
        documents: Documents,
        cases: Cases,
        stage: Stage,
        display: Display,
        met: asyncio.Queue[str],
        api: Api,
        inspector: Inspector,
    ) -> None:
        self._options = options
        self._documents = documents
        self._cases = cases
        self._stage = stage
        self._display = display
        self._met = met
        self._api = api
        self._inspector = inspector
        self._load = Load(api, cases, documents, options)
        self._changes = Changes(api, cases)
        self._egress = [
            Egress(api, cases, name, options.seed + number)
            for number, name in enumerate((FIRST, FINAL, FIRST, FINAL))
        ]
        self._began = time.monotonic()
        self._phase = "load"

    async def whole(self) -> Soaked:
        """Load and faults, then quiet, then the count."""
        background = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("changes", self._forward()),
                ("monitor", self._monitor()),
                *((f"egress {number}", egress.run()) for number, egress in enumerate(self._egress)),
            )
        ]
        try:
            await self._under_faults()
            loaded = time.monotonic()
            settled = await self._settle()
            self._phase = "counting"
            result = account(self._cases, await self._observe(), self._stage.log)
            depths = await self._inspector.depths()
        finally:
            # Redis' driver may take a cancellation for an error of its own and go on.
            await cancel_all(background)
            for name, error in _ended(background):
                self._cases.problem(f"{name} ended: {error!r}")
        dead_ever: dict[str, int] = {}
        for dead in self._inspector.dead_ever.values():
            dead_ever[dead.reason] = dead_ever.get(dead.reason, 0) + 1
        return Soaked(
            self._options, result, self._cases, self._stage.log, [], [],
            self._inspector.memory, depths, dead_ever, Logged(),
            self._began, loaded, settled,
        )  # fmt: skip

    async def _under_faults(self) -> None:
        options = self._options
        faults = schedule(options.seed, options.seconds, options.mean_gap, options.replicas)
        replays = asyncio.create_task(self._replay_now_and_then())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._load.run())
                group.create_task(strike(self._stage, faults, self._tell))
        finally:
            replays.cancel()
        self._phase = "faults are over, settling"
        await self._load.finish()
        await self._changes.finish()

    def _tell(self, fault: Fault) -> None:
        lasting = f" for {fault.seconds:.1f} s" if fault.seconds else ""
        self._display.say(f"fault: {fault.kind} ({fault.target}){lasting}")

    async def _settle(self) -> float:
        """Wait until every list is empty, replaying what is dead; the time when that was so."""
        deadline, settled = time.monotonic() + self._options.settle, 0.0
        for _ in range(_REPLAYS_AT_THE_END + 1):
            if not await self._quiet(deadline):
                return 0.0
            settled = time.monotonic()
            if not await self._inspector.collect_dead(self._cases):
                break
            for name in (INGRESS, MIDDLE):
                await self._api.ask(
                    "POST", "/dlq/reprocess", params={"ingress_list": name, "count": 100_000}
                )
        await self._quiet(deadline)
        await self._inspector.collect_dead(self._cases)
        return settled

    async def _quiet(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            depths = await self._inspector.depths()
            if not any(depth.entries for depth in depths.values()) and not self._popping():
                return True
            await asyncio.sleep(0.5)
        return False

    def _popping(self) -> bool:
        # What was acknowledged may still be on its way to the client.
        return time.monotonic() - max(egress.last for egress in self._egress) < 2.0

    async def _observe(self) -> Observed:
        dead = await self._inspector.collect_dead(self._cases)
        copies = await read_copies(
            self._stage.folder, self._stage.dsn, self._cases, self._documents
        )
        wished = [case for case in self._cases.accepted() if case.changed or case.deleted]
        return Observed(
            copies,
            {item.uuid: item.reason for item in dead},
            await self._inspector.waiting(),
            {case.uuid: await self._read(case.uuid, case.template) for case in wished},
        )

    async def _read(self, uuid: str, template: int) -> Copy | None:
        for _ in range(10):
            answer = await self._api.ask("GET", f"/vcon/{uuid}")
            if isinstance(answer, httpx.Response) and answer.status_code != 503:
                break
            await asyncio.sleep(0.5)
        else:
            self._cases.problem(f"GET /vcon/{uuid}: no answer although no fault is on")
            return None
        return self._documents.inspect(answer.content, template) if answer.is_success else None

    async def _forward(self) -> None:
        while True:
            self._changes.begin(await self._met.get())

    async def _replay_now_and_then(self) -> None:
        random = Random(self._options.seed)
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_REPLAYS)
            with suppress(RedisError, OSError):
                await self._inspector.collect_dead(self._cases)
                await replay_dead_letters(self._api, random, self._cases)

    async def _monitor(self) -> None:
        count = 0
        while True:
            for replica in self._stage.replicas:
                replica.measure()
            if count % 5 == 0:
                await self._inspector.collect_memory(time.monotonic())
            self._display.show(self._phase, await self._figures())
            count += 1
            await asyncio.sleep(1.0)

    async def _figures(self) -> dict[str, str]:
        figures = {
            "sent": f"{len(self._cases.all):,}",
            "accepted": f"{sum(1 for _ in self._cases.accepted()):,}",
        }
        for name in (FIRST, FINAL):
            popped = sum(egress.popped for egress in self._egress if egress.list == name)
            figures[name] = f"{popped:,}"
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(1):
                for name, depth in (await self._inspector.depths()).items():
                    figures[f"on {name}"] = f"{depth.entries:,} ({depth.pending:,} pending)"
                    if depth.dead:
                        figures[f"dead of {name}"] = f"{depth.dead:,}"
        figures["faults"] = str(len(self._stage.log.struck))
        figures["problems"] = str(self._cases.counts["problems"])
        memory = [replica.lives[-1].memory for replica in self._stage.replicas]
        figures["MiB"] = "/".join(f"{m[-1][1] >> 20}" if m else "-" for m in memory)
        return figures


def _ended(tasks: list[asyncio.Task[None]]) -> list[tuple[str, BaseException]]:
    ended = [task for task in tasks if task.done() and not task.cancelled()]
    return [(task.get_name(), error) for task in ended if (error := task.exception())]
