"""The way of a vCon through a chain when nothing goes wrong."""

import asyncio

import pytest
from pipeline_support import Crowd, site, step, tagging, unit, vcon

from vconflow.errors import InvalidVcon, NotFound, Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome, Replace, Route
from vconflow.testing.memory_storage import MemoryStorage


async def test_links_then_storages_then_egress(redis_url: str) -> None:
    slow = MemoryStorage()
    slow.delay = 0.05
    chain = Chain(
        "main", (step("a"), step("b")), storages=("s", "t"), lists=("in",), egress=("out",)
    )
    async with site(
        redis_url, chain, storages={"s": unit("s", MemoryStorage()), "t": unit("t", slow)}
    ) as it:
        documents = [vcon() for _ in range(50)]
        uuids = await it.submit(*documents)
        while not (popped := await it.popped()):
            await asyncio.sleep(0.005)
        # Storages before egress, always.
        assert set(popped) <= set(slow.vcons)
        await it.settled()
        assert sorted(popped + await it.popped()) == sorted(uuids)
        for document, uuid in zip(documents, uuids, strict=True):
            expected = Vcon(document)
            expected.add_tag("a", "a")
            expected.add_tag("b", "b")
            for storage in it.memory.values():
                assert storage.vcons[uuid].document == expected.to_bytes()
            assert await it.lookup.get(uuid) == expected.to_bytes()
        assert max(map(len, slow.batches)) > 1


async def test_an_untouched_vcon_stays_byte_for_byte(valkey_url: str) -> None:
    async def nothing(vcon: Vcon, run: LinkRun) -> Outcome:
        return CONTINUE

    chain = Chain("main", (step("noop", nothing),), storages=("s",), lists=("in",))
    async with site(valkey_url, chain, storages={"s": unit("s", MemoryStorage())}) as it:
        document = vcon().replace(b", ", b" ,\n ")
        (uuid,) = await it.submit(document)
        await it.settled()
        assert it.memory["s"].vcons[uuid].document == document


async def test_one_chain_feeds_another(redis_url: str) -> None:
    first = Chain("first", (step("a"),), lists=("in",), egress=("between",))
    second = Chain("second", (step("b"),), lists=("between",), egress=("out",))
    async with site(redis_url, first, second) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled("in", "between")
        assert await it.popped() == [uuid]
        document = await it.lookup.get(uuid)
        assert document is not None
        assert Vcon(document).tags == ["a:a", "b:b"]


async def test_halting_ends_without_storage_and_egress_but_keeps_the_vcon(valkey_url: str) -> None:
    async def halt(vcon: Vcon, run: LinkRun) -> Outcome:
        return Halt("enough")

    chain = Chain(
        "main", (step("a"), step("stop", halt), step("b")), ("s",), ("in",), egress=("out",)
    )
    async with site(valkey_url, chain, storages={"s": unit("s", MemoryStorage())}) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert (await it.popped(), it.memory["s"].vcons) == ([], {})
        document = await it.lookup.get(uuid)
        assert document is not None
        assert Vcon(document).tags == ["a:a"]


@pytest.mark.parametrize("go_on", [True, False])
async def test_routing_to_further_lists(valkey_url: str, go_on: bool) -> None:
    async def route(vcon: Vcon, run: LinkRun) -> Outcome:
        return Route(("x", "next", "x"), go_on=go_on)

    chain = Chain("main", (step("r", route), step("a")), lists=("in",), egress=("out",))
    after = Chain("after", (step("z"),), lists=("next",), egress=("end",))
    async with site(valkey_url, chain, after) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled("in", "next")
        assert await it.popped("x") == [uuid]
        assert await it.popped("end") == [uuid]
        assert await it.popped("out") == ([uuid] if go_on else [])


async def test_replacing_goes_on_with_another_vcon(valkey_url: str) -> None:
    other = vcon(subject="the other one")

    async def replace(vcon: Vcon, run: LinkRun) -> Outcome:
        return Replace(Vcon(other).uuid)

    chain = Chain(
        "main", (step("a"), step("swap", replace), step("b")), ("s",), ("in",), egress=("out",)
    )
    async with site(valkey_url, chain, storages={"s": unit("s", MemoryStorage())}) as it:
        await it.ingest.save(other)
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert list(it.memory["s"].vcons) == await it.popped() == [Vcon(other).uuid]
        assert Vcon(await it.lookup.get(uuid) or b"").tags == ["a:a"]
        assert Vcon(await it.lookup.get(Vcon(other).uuid) or b"").tags == ["b:b"]


@pytest.mark.parametrize(("error", "delay"), [(Retryable("away"), 0.0), (None, 600.0)])
async def test_a_partner_need_not_wait_for_a_storage_that_is_away(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception | None, delay: float
) -> None:
    """Whether it has the vCon already cannot be known then; taking vCons goes first."""
    away = MemoryStorage()
    away.fail_with, away.delay = error, delay
    monkeypatch.setattr("vconflow.pipeline.lookup._SOON", 0.05)
    chain = Chain("main", storages=(), lists=("in",), egress=("out",))
    storages = {"away": unit("away", away, timeout=3.0)}
    async with site(valkey_url, chain, storages=storages) as it:
        document = vcon()
        await it.ingest.accept(document, ("in",), owner="partner", exclusive=True)
        await it.settled()
        assert await it.popped() == [Vcon(document).uuid]


async def test_bad_input_changes_nothing(valkey_url: str) -> None:
    async with site(valkey_url, Chain("main", lists=("in",))) as it:
        with pytest.raises(NotFound, match="Ingress list 'nope' is not configured"):
            await it.ingest.accept(vcon(), ("in", "nope"))
        with pytest.raises(InvalidVcon):
            await it.ingest.accept(b"{}", ("in",))
        with pytest.raises(InvalidVcon, match="address"):
            await it.ingest.accept(vcon(), expect_uuid="0195b780-5836-83e6-9dd8-dd37220d739c")
        assert await it.backend.documents.page(offset=0, limit=9, since=None, until=None) == []


async def test_a_held_chain_keeps_what_it_accepts(valkey_url: str) -> None:
    chain = Chain("main", lists=("in",), held="link 'x' is not built yet")
    async with site(valkey_url, chain, Chain("other", lists=("else",))) as it:
        await it.submit(vcon(), vcon())
        await asyncio.sleep(0.1)
        assert (await it.backend.stream.depth(["in"]))["in"].waiting == 2


async def test_concurrency_is_capped_and_used(valkey_url: str) -> None:
    crowd = Crowd()
    chain = Chain("main", (step("slow", crowd),), lists=("in", "more"), concurrency=7)
    async with site(valkey_url, chain) as it:
        await asyncio.gather(
            it.submit(*(vcon() for _ in range(40))),
            it.submit(*(vcon() for _ in range(40)), to="more"),
        )
        await it.settled("in", "more")
        assert crowd.most == 7


async def test_a_long_list_starves_neither_its_sibling_nor_another_chain(valkey_url: str) -> None:
    order: list[str] = []

    async def slow(vcon: Vcon, run: LinkRun) -> Outcome:
        await asyncio.sleep(0.005)
        order.append(run.list)
        return CONTINUE

    busy = Chain("busy", (step("slow", slow),), lists=("long", "short"), concurrency=4)
    calm = Chain("calm", (step("slow", slow),), lists=("other",), concurrency=4)
    async with site(valkey_url, busy, calm, start=False) as it:
        await it.submit(*(vcon() for _ in range(300)), to="long")
        await it.submit(*(vcon() for _ in range(5)), to="short")
        await it.submit(*(vcon() for _ in range(5)), to="other")
        await it.replica.start()
        await it.settled("long", "short", "other")
    last_short = max(i for i, name in enumerate(order) if name == "short")
    last_other = max(i for i, name in enumerate(order) if name == "other")
    assert max(last_short, last_other) < 100


async def test_a_chain_at_its_cap_goes_on_while_another_is_idle(valkey_url: str) -> None:
    """The blocking read covers the idle chain only: it must be woken when room appears."""
    gate = asyncio.Event()

    async def wait(vcon: Vcon, run: LinkRun) -> Outcome:
        await gate.wait()
        return CONTINUE

    busy = Chain("busy", (step("wait", wait),), lists=("in",), concurrency=1)
    idle = Chain("idle", (step("a", tagging("a")),), lists=("nothing",))
    async with site(valkey_url, busy, idle) as it:
        await it.submit(vcon(), vcon(), vcon())
        await asyncio.sleep(0.2)
        gate.set()
        async with asyncio.timeout(3):
            await it.settled("in")


async def test_egress_is_in_order_of_completion(valkey_url: str) -> None:
    ended: list[str] = []

    async def slow(vcon: Vcon, run: LinkRun) -> Outcome:
        await asyncio.sleep(float(vcon.subject or 0))
        ended.append(vcon.uuid)
        return CONTINUE

    chain = Chain("main", (step("slow", slow),), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, chain, storages={"s": unit("s", MemoryStorage())}) as it:
        uuids = await it.submit(*(vcon(subject=str(n / 10)) for n in (5, 4, 3, 2, 1)))
        await it.settled()
        assert await it.popped() == ended == list(reversed(uuids))
