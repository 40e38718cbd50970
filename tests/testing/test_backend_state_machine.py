"""One state machine of an entry, driven at random against memory, Valkey and Redis 7.0.

As it stands the examples are the same in every run. VCONFLOW_TEST_EXAMPLES=5000 draws that many new
ones instead, and shrinks what fails.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from entry_machine import EntryMachine
from entry_servers import MemoryUnderMachine, RedisUnderMachine
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

LONG = int(os.environ.get("VCONFLOW_TEST_EXAMPLES", "0"))


def drawn(examples: int, steps: int) -> settings:
    return settings(
        max_examples=LONG or examples,
        stateful_step_count=steps,
        deadline=None,
        # Shrinking a failure takes minutes: only where somebody waits for it.
        phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
        derandomize=not LONG,
        suppress_health_check=list(HealthCheck),
    )


def test_in_memory() -> None:
    run_state_machine_as_test(
        lambda: EntryMachine(MemoryUnderMachine()), settings=drawn(150, steps=60)
    )


def test_on_a_real_server(redis_url: str) -> None:
    with without_fsync(redis_url):
        run_state_machine_as_test(
            lambda: EntryMachine(RedisUnderMachine(redis_url)), settings=drawn(50, steps=50)
        )


@contextmanager
def without_fsync(url: str) -> Iterator[None]:
    """Nobody pulls the plug here, and the disk is slower than all the rest."""
    with redis.Redis.from_url(url) as client:
        client.config_set("appendfsync", "no")
        try:
            yield
        finally:
            client.config_set("appendfsync", "always")
