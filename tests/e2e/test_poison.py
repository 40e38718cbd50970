"""A vCon that kills its process: it ends as a dead letter, and nothing else is harmed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from loading import bulk, vcons
from redis_view import RedisView, redis_view, until
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.app.watchdog import EXIT_CODE

GOOD = 50
OOM_KILL = -9


def config_of(folder: Path, how: str) -> dict[str, Any]:
    # Longer than the poison takes: whatever runs beside it when it strikes is not through yet.
    options = {"how": how, "calls": str(folder / "calls"), "seconds": 0.6, "after": 0.3}
    retry = {"attempts": 2, "base": 0.1}
    link = {"module": "troublemakers:PoisonLink", "options": options, "retry": retry}
    return {
        "links": {"poison": link},
        "chains": {"main": {"links": ["poison"], "ingress_lists": ["in"], "egress_lists": ["out"]}},
    }


class Systemd:
    """Starts the process again whenever it ended; `codes` are its exit codes."""

    def __init__(self, folder: Path, config: dict[str, Any], environment: dict[str, str]) -> None:
        self._folder, self._config, self._environment = folder, config, environment
        self.codes: list[int] = []
        self.process: VconflowProcess | None = None

    async def supervise(self) -> None:
        while True:
            async with vconflow(self._folder, self._config, **self._environment) as process:
                self.process = process
                code = await process.process.wait()
            self.codes.append(code)


@asynccontextmanager
async def supervised(
    folder: Path, config: dict[str, Any], **environment: str
) -> AsyncIterator[Systemd]:
    systemd = Systemd(folder, config, environment)
    task = asyncio.create_task(systemd.supervise())
    try:
        await until(lambda: systemd.process or task.done())
        yield systemd
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def submit(
    systemd: Systemd, shared_data: Path, poisons: int = 1
) -> tuple[set[str], set[str]]:
    """Post 50 good vCons with bad ones among them; the uuids of the good and of the bad."""
    documents = vcons(shared_data, GOOD + poisons, subject="good")
    bad = set(list(documents)[GOOD // 2 :][:poisons])
    documents |= {
        uuid: document
        for uuid, document in vcons(shared_data, GOOD + poisons, subject="poison").items()
        if uuid in bad
    }
    assert systemd.process is not None
    await bulk(systemd.process.url, documents)
    return documents.keys() - bad, bad


async def outcome(systemd: Systemd, redis: RedisView) -> tuple[Counter[str], list[dict[str, str]]]:
    """What came out at the end, and the dead letters."""
    await until(lambda: redis.length("in") == 0, seconds=120)
    assert systemd.process is not None
    async with httpx.AsyncClient(base_url=systemd.process.url, timeout=30) as client:
        popped = await pop_all(client, "out", redis.length("out"))
    return Counter(popped), redis.dead("in")


def calls(folder: Path) -> Counter[str]:
    return Counter(line.split()[2] for line in (folder / "calls").read_text().splitlines())


@pytest.mark.parametrize(("how", "code"), [("block", EXIT_CODE), ("kill", OOM_KILL)])
@pytest.mark.parametrize("poisons", [1, 2])
async def test_what_kills_its_process_three_times_is_a_dead_letter(
    tmp_path: Path, shared_data: Path, valkey_url: str, how: str, code: int, poisons: int
) -> None:
    environment = {"REDIS_URL": valkey_url, "VCONFLOW_LOOP_STALL": "1.0"}
    with redis_view(valkey_url) as redis:
        async with supervised(tmp_path, config_of(tmp_path, how), **environment) as systemd:
            good, bad = await submit(systemd, shared_data, poisons)
            popped, letters = await outcome(systemd, redis)
            assert systemd.codes == [code] * len(systemd.codes)
    assert popped == Counter(good)
    assert {(letter["uuid"], letter["stage"]) for letter in letters} == {
        (uuid, "crash") for uuid in bad
    }
    called = calls(tmp_path)
    assert [called[uuid] for uuid in bad] == [3] * poisons
    # The first crash hits whatever runs; then the suspects take turns.
    assert max(called[uuid] for uuid in good) <= 3
    if poisons == 1:
        assert len(systemd.codes) == 3


@pytest.mark.parametrize(
    ("how", "attempts", "error"),
    [
        ("exit", 1, "SystemExit"),
        ("nonsense", 1, "Permanent"),
        ("memory", 2, "MemoryError"),
    ],
)
async def test_what_fails_without_a_crash_is_a_dead_letter_and_the_process_lives(
    tmp_path: Path, shared_data: Path, valkey_url: str, how: str, attempts: int, error: str
) -> None:
    with redis_view(valkey_url) as redis:
        async with supervised(tmp_path, config_of(tmp_path, how), REDIS_URL=valkey_url) as systemd:
            good, bad = await submit(systemd, shared_data)
            popped, letters = await outcome(systemd, redis)
            assert systemd.codes == []
    assert popped == Counter(good)
    assert [(letter["uuid"], letter["stage"], letter["error_type"]) for letter in letters] == [
        (*bad, "link:poison", error)
    ]
    assert calls(tmp_path) == Counter(good) + Counter(dict.fromkeys(bad, attempts))
