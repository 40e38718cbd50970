"""Connections cut before and after every command of all that can happen to a vCon."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from cuts_support import (
    LEASE,
    Lane,
    add_cut,
    assert_delivered,
    assert_no_traces,
    counted,
    list_key,
    open_lane,
    open_work,
    socket_of,
)
from pipeline_support import LinkFunction, step, tagging, unit, vcon

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.errors import Permanent, Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.documents import Search
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.redis_cuts import RedisCuts
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

PLACES = [(direction, at) for direction in Direction for at in (0.0, 1.0)]
PLACE_NAMES = [f"{'after' if at else 'before'}-{direction.value}" for direction, at in PLACES]

places = pytest.mark.parametrize(("direction", "at"), PLACES, ids=PLACE_NAMES)

ChainOf = Callable[[int], Chain]


async def each(labels: list[str], scenario: Callable[[int, str], Awaitable[None]]) -> None:
    """Run a scenario once for each command that is cut, all at the same time."""
    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(labels):
            group.create_task(scenario(number, name))


def chain_of(
    link: LinkFunction, *storages: str, more: bool = False, repeatable: bool = False
) -> ChainOf:
    def chain(number: int) -> Chain:
        lists = (f"in{number}", f"more{number}") if more else (f"in{number}",)
        a = step("a", link, repeatable=repeatable)
        return Chain("main", (a,), storages, lists, egress=(f"out{number}",))

    return chain


async def delivered(lane: Lane, uuids: list[str]) -> None:
    await assert_delivered(lane.client, uuids, [lane.list], ["a:a"], f"out{lane.number}")


@places
@pytest.mark.parametrize("repeatable", [False, True])
async def test_the_way_through_a_chain(
    redis_url: str, direction: Direction, at: float, repeatable: bool
) -> None:
    storage = MemoryStorage()
    # With two lists both ways of reading are used.
    chain = chain_of(tagging("a"), "s", more=True, repeatable=repeatable)

    async def scenario(number: int, wanted: str) -> None:
        async with open_lane(redis_url, chain, number, {"s": unit("s", storage)}) as lane:
            uuids = [await lane.submit(vcon())]
            await lane.idle()
            cut = lane.cut(wanted, direction, at)
            async with asyncio.timeout(20):
                while not cut.done:
                    uuids.append(await lane.submit(vcon()))
                    await lane.idle()
            await delivered(lane, uuids)
            for uuid in uuids:
                assert storage.vcons[uuid].document == await lane.client.get(f"vcon:{uuid}")

    commits = ["commit finish document"]
    if not repeatable:
        commits = ["commit defer document", "commit finish"]
    labels = ["accept", "read", "XREADGROUP", "fetch", *commits]
    await each(labels, scenario)


class Troubled:
    """A link that fails at the first attempt, for good when the subject says so."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        vcon.add_tag("a", "a")
        if vcon.uuid not in self.seen:
            self.seen.add(vcon.uuid)
            raise Permanent("never") if vcon.subject == "dies" else Retryable("later")
        return CONTINUE


@places
async def test_retry_dead_letter_and_replay(
    redis_url: str, direction: Direction, at: float
) -> None:
    async def scenario(number: int, wanted: str) -> None:
        async with open_lane(redis_url, chain_of(Troubled()), number) as lane:
            cut = lane.cut(wanted, direction, at)
            uuids = []
            for subject in ("lives", "dies"):
                uuids.append(await lane.submit(vcon(subject=subject)))
                await lane.idle()
            dead = f"vconflow:dead:{lane.list}"
            assert await counted(lane.client, dead) == Counter(uuids[1:])
            assert await open_work(lane.client, uuids[1]) == (1, 0)
            (letter,) = await lane.it.dead(lane.list)
            await lane.it.backend.dead_letters.replay(lane.list, [letter.id])
            await lane.idle()
            assert cut.done
            await delivered(lane, uuids)

    await each(["commit defer", "commit bury", "XRANGE", "replay"], scenario)


@places
async def test_renewing(redis_url: str, direction: Direction, at: float) -> None:
    """The connection is lost on a renewal: nobody else gets the entry for it."""
    calls: list[str] = []
    gate = asyncio.Event()

    async def wait(vcon: Vcon, run: LinkRun) -> Outcome:
        calls.append(vcon.uuid)
        await gate.wait()
        vcon.add_tag("a", "a")
        return CONTINUE

    async with open_lane(redis_url, chain_of(wait)) as lane:
        uuid = await lane.submit(vcon())
        cut = lane.cut("renew", direction, at)
        async with asyncio.timeout(20):
            while not cut.done or lane.labels["renew"] < 6:
                await asyncio.sleep(0.01)
        gate.set()
        await lane.idle()
        assert calls == [uuid]
        await delivered(lane, [uuid])


@places
async def test_taking_over(redis_url: str, direction: Direction, at: float) -> None:
    crashes: list[int] = []

    async def scenario(number: int, wanted: str) -> None:
        async def count(vcon: Vcon, run: LinkRun) -> Outcome:
            record = f"vconflow:run:{run.list}:{run.entry}"
            crashes.append(int(await lane.client.hget(record, "crashes") or 0))  # type: ignore[misc]
            vcon.add_tag("a", "a")
            return CONTINUE

        async with open_lane(redis_url, chain_of(count), number, start=False) as lane:
            uuids = [await lane.submit(vcon()) for _ in range(3)]
            await lane.it.backend.stream.ensure([lane.list])
            key = list_key(lane.list)
            await lane.client.xreadgroup("vconflow", "dead", {key: ">"}, count=3)
            cut = lane.cut(wanted, direction, at)
            await lane.it.replica.start()
            await lane.idle()
            assert cut.done
            await delivered(lane, uuids)

    await each(["XPENDING", "XCLAIM", "resume"], scenario)
    # One process died with them. A crash may go unnoticed, but none is counted twice.
    assert set(crashes) <= {0, 1}


@places
async def test_starting_and_handing_over(redis_url: str, direction: Direction, at: float) -> None:
    hang = asyncio.Event()

    async def wait(vcon: Vcon, run: LinkRun) -> Outcome:
        await hang.wait()
        return CONTINUE

    async def scenario(number: int, wanted: str) -> None:
        cuts = RedisCuts()
        async with open_lane(redis_url, chain_of(wait), number, cuts=cuts, grace=0.0) as lane:
            uuids = [await lane.submit(vcon()) for _ in range(3)]
            while lane.it.replica.consumer.inflight("main") < 3:
                await asyncio.sleep(0.005)
            cut = add_cut(cuts, wanted, direction, at)
        async with open_lane(redis_url, chain_of(tagging("a")), number, cuts=cuts) as lane:
            await lane.idle()
            assert cut.done
            await delivered(lane, uuids)

    await each(["hand_over", "CLIENT SETINFO", "SET", "XGROUP CREATE"], scenario)


@places
async def test_deleting_and_enqueueing(redis_url: str, direction: Direction, at: float) -> None:
    tels = {"fetch": "+1001", "delete": "+1002", "enqueue": "+1003"}

    async def scenario(number: int, wanted: str) -> None:
        async with open_lane(redis_url, chain_of(tagging("a")), number) as lane:
            uuid = await lane.submit(vcon(parties=[{"tel": tels[wanted]}]))
            await lane.idle()
            cut = lane.cut(wanted, direction, at)
            assert await lane.it.ingest.enqueue([uuid], lane.list) == 0
            await lane.idle()
            assert await counted(lane.client, list_key(f"out{number}")) == {uuid: 2}
            assert await open_work(lane.client, uuid) == (0, 2)
            assert (await lane.it.lookup.delete(uuid)).found
            assert cut.done
            await assert_no_traces(lane.client, [lane.list])
            assert await lane.it.lookup.get(uuid) is None
            assert await lane.it.backend.documents.search(Search(tel=tels[wanted])) == []

    await each(list(tels), scenario)


@places
async def test_popping(redis_url: str, direction: Direction, at: float) -> None:
    """What was popped and acknowledged is popped once; what came back, once more."""

    async def scenario(number: int, wanted: str) -> None:
        cuts, out = RedisCuts(), f"out{number}"
        options = RedisOptions(replica=f"popping{number}", egress_lease=LEASE)
        async with (
            open_lane(redis_url, chain_of(tagging("a")), number) as lane,
            tcp_proxy(socket_of(redis_url), cuts.tap) as proxy,
            open_backend(f"redis://127.0.0.1:{proxy.port}", options) as backend,
        ):
            uuids = [await lane.submit(vcon()) for _ in range(3)]
            await lane.idle()
            cut = add_cut(cuts, wanted, direction, at)
            popped: Counter[str] = Counter()
            returned: list[str] = []
            async with asyncio.timeout(20):
                while await lane.client.xlen(list_key(out)):
                    entries = await backend.egress.lease(out, 10)
                    if not returned:
                        returned = [entry.uuid for entry in entries]
                        await backend.egress.give_back(out, entries)
                    else:
                        await backend.egress.ack(out, entries)
                        popped.update(entry.uuid for entry in entries)
                    await asyncio.sleep(0.01)
            assert cut.done
            assert popped == Counter(uuids)
            assert set(returned) <= set(uuids)
            for uuid in uuids:
                assert await open_work(lane.client, uuid) == (0, 0)

    await each(["egress_lease", "egress_hold", "egress_ack"], scenario)


@places
async def test_leasing(redis_url: str, direction: Direction, at: float) -> None:
    """Whatever is cut: no lease stays unknown for its whole time, and what was done is told."""

    async def scenario(number: int, wanted: str) -> None:
        cuts, out = RedisCuts(), f"out{number}"
        options = RedisOptions(replica=f"leasing{number}")
        async with (
            open_lane(redis_url, chain_of(tagging("a")), number) as lane,
            tcp_proxy(socket_of(redis_url), cuts.tap) as proxy,
            open_backend(f"redis://127.0.0.1:{proxy.port}", options) as backend,
        ):
            uuids = [await lane.submit(vcon()) for _ in range(3)]
            await lane.idle()
            cut = add_cut(cuts, wanted, direction, at)
            egress = backend.egress
            first, *rest = await egress.lease(out, 10, 86_400)
            assert {entry.uuid for entry in (first, *rest)} == set(uuids)
            assert await egress.extend(out, [first], 86_400) == [first.lease_id]
            assert await egress.ack(out, [first]) == [first.lease_id]
            assert cut.done
            assert await egress.lease(out, 10) == []
            assert len(await egress.give_back(out, rest)) == 2
            assert [entry.id for entry in await egress.lease(out, 10)] == [it.id for it in rest]

    await each(["egress_lease", "egress_hold", "egress_ack"], scenario)
