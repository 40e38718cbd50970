"""Lists that leave the configuration, or come into it with a past."""

import asyncio
import contextlib

import pytest
from pipeline_support import until, vcon
from reload_parts import WORLD
from reload_support import Running, chain, configured, link, running

from vconflow.errors import NotFound
from vconflow.model.identifiers import new_uuid
from vconflow.telemetry import metrics

ELSEWHERE = configured(None, None, main=chain(lists=["other"]))
"""The list `in` is gone."""
READER = 'vconflow_list_reader{chain="main",list="%s"} 1.0'


@pytest.fixture(autouse=True)
def _world() -> None:
    WORLD.reset()


async def bury(one: Running) -> None:
    await one.submit(vcon())
    async with asyncio.timeout(20):
        while not await one.dead():
            await asyncio.sleep(0.02)


async def assert_expires(one: Running) -> None:
    async with asyncio.timeout(20):
        while await one.dead():
            tidying = asyncio.create_task(one.replica.housekeeping.tidy())
            await asyncio.sleep(0.2)
            tidying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tidying


async def test_their_dead_letters_expire(valkey_url: str) -> None:
    failing = configured({"mark": link(fails=True)})
    async with running(valkey_url, failing, dead_expiry=1) as one:
        await bury(one)
        await one.site.apply(ELSEWHERE)
        await assert_expires(one)


async def test_their_dead_letters_expire_also_after_a_restart(valkey_url: str) -> None:
    async with running(valkey_url, configured({"mark": link(fails=True)}), dead_expiry=0) as one:
        await bury(one)
    WORLD.reset()
    async with running(valkey_url, ELSEWHERE, dead_expiry=1) as one:
        await assert_expires(one)


async def measured(one: Running) -> None:
    """Let the gauges be refreshed now."""
    measuring = asyncio.create_task(one.replica.housekeeping.measure())
    await asyncio.sleep(0.2)
    measuring.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await measuring


async def readers() -> set[str]:
    text, _ = await asyncio.to_thread(metrics.render)
    return {name for name in ("before", "after") if READER % name in text.decode().splitlines()}


async def test_metrics_say_which_chain_reads_a_list_now(valkey_url: str) -> None:
    before, after = (configured(None, None, main=chain(lists=[n])) for n in ("before", "after"))
    async with running(valkey_url, before) as one:
        await measured(one)
        assert await readers() == {"before"}
        await one.site.apply(after)
        await measured(one)
        assert await readers() == {"after"}


async def test_a_document_expires_once_it_is_fetched_from_them(valkey_url: str) -> None:
    async with running(valkey_url, configured()) as one:
        [uuid] = await one.submit(vcon())
        await one.settled()
        await one.site.pause("main")
        assert await one.ingest.enqueue([uuid], "in") == 0
        await one.site.apply(ELSEWHERE)
        client = one.backend.connections.commands
        assert await client.execute_command("TTL", f"vcon:{uuid}") == -1
        assert await one.popped("in") == [uuid]
        assert await client.execute_command("TTL", f"vcon:{uuid}") > 0


async def test_what_was_put_on_them_is_put_there_once(valkey_url: str) -> None:
    """A repetition with its idempotency key gets the answer of the first time."""
    async with running(valkey_url, configured()) as one:
        first = await one.ingest.accept(document := vcon(), ("in",), idempotency_key="posted")
        asking = [*(new_uuid() for _ in range(300)), first.uuid]
        skipped = await one.ingest.enqueue(asking, "in", idempotency_key="enqueued")
        assert skipped == 300
        await one.settled()
        await one.site.apply(ELSEWHERE)
        assert await one.ingest.accept(document, ("in",), idempotency_key="posted") == first
        assert await one.ingest.enqueue(asking, "in", idempotency_key="enqueued") == skipped
        for key in ("", "new", "posted"):
            with pytest.raises(NotFound):
                await one.ingest.accept(vcon(), ("in",), idempotency_key=key)
            for uuids in ([first.uuid], []):
                with pytest.raises(NotFound):
                    await one.ingest.enqueue(uuids, "in", idempotency_key=key)
        assert not (await one.backend.stream.depth(["in"]))["in"].waiting


async def test_a_chain_leaves_what_clients_have_on_lease(valkey_url: str) -> None:
    """The chain begins to read a list from which they fetched before."""
    after = configured(
        None, None, main=chain(), second=chain(lists=["out"]) | {"egress_lists": ["end"]}
    )
    async with running(valkey_url, configured(), lease=0.5) as one:
        await one.submit(vcon(), vcon())
        await one.settled()
        kept, given_back = await one.backend.egress.lease("out", 10, 3600)
        await one.site.apply(after)
        await one.backend.egress.give_back("out", [given_back])
        await until(lambda: len(WORLD.calls) == 3)
        await asyncio.sleep(1.0)  # two leases of a replica
        assert await one.popped("end") == [given_back.uuid]
        assert await one.backend.egress.ack("out", [kept]) == [kept.lease_id]
        assert len(WORLD.calls) == 3
