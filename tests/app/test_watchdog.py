import asyncio
import subprocess
import sys
import threading
import time

from vconflow.app.watchdog import EXIT_CODE, watch_loop


async def test_a_loop_that_runs_is_left_alone() -> None:
    stalled = threading.Event()
    async with watch_loop(0.4, stalled.set):
        for _ in range(20):
            await asyncio.sleep(0.05)
    assert not stalled.is_set()


async def test_a_stuck_loop_is_noticed() -> None:
    stalled = threading.Event()
    async with watch_loop(0.3, stalled.set):
        await asyncio.sleep(0.1)
        deadline = time.monotonic() + 20
        while not stalled.is_set() and time.monotonic() < deadline:
            time.sleep(0.05)  # noqa: ASYNC251  # blocks the loop, which is the point
    assert stalled.is_set()


def test_the_process_ends_and_says_where_it_was_stuck() -> None:
    code = """
import asyncio, time
from vconflow.app.watchdog import watch_loop
async def stuck_here():
    async with watch_loop(0.3):
        await asyncio.sleep(0.1)
        time.sleep(60)
asyncio.run(stuck_here())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=50, check=False
    )
    assert done.returncode == EXIT_CODE
    assert done.stderr.startswith(b"the event loop is stuck: exit 70")
    assert b"stuck_here" in done.stderr
