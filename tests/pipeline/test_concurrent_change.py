"""Several who change one vCon: nobody's addition is lost, and all storages end with the same."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from cuts_support import add_cut, open_work, socket_of
from pipeline_support import LinkFunction, Site, site, step, unit, vcon
from stops_support import STAGES, Stop, change, copies, three_storages

from vconflow.errors import Retryable, RevisionMismatch
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.redis_cuts import RedisCuts
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

STORAGES = ("memory", "file", "postgres")

repeatable = pytest.mark.parametrize(
    "repeatable", [False, True], ids=["written before the storages", "written with the ack"]
)
"""Whether Redis gets the document before the storages or after them."""


async def assert_one_version(it: Site, units: object, uuid: str, tags: set[str]) -> None:
    """Redis and the storages hold the same bytes, with all tags, each once."""
    current = await it.lookup.get(uuid)
    assert current is not None
    assert Counter(Vcon(current).tags) == Counter(f"{tag}:x" for tag in tags)
    assert set((await copies(units, uuid)).values()) == {current}  # type: ignore[arg-type]
    assert await it.dead() == []


@repeatable
@pytest.mark.parametrize("stage", STAGES)
async def test_a_put_at_every_stage(
    redis_url: str, tmp_path: Path, postgres_dsn: str, stage: str, repeatable: bool
) -> None:
    stop = Stop(stage)
    ours = step("ours", stop.link, repeatable=repeatable)
    chain = Chain("main", (ours,), STORAGES, ("in",), egress=("out",))
    async with (
        three_storages(stop, tmp_path, postgres_dsn) as units,
        site(redis_url, chain, storages=units) as it,
    ):
        (uuid,) = await it.submit(vcon())
        await stop.reached.wait()
        await change(it, uuid, "theirs")
        stop.go.set()
        await it.settled()
        await assert_one_version(it, units, uuid, {"ours", "theirs"})
        assert await open_work(it.backend.connections.commands, uuid) == (0, 1)
        assert await it.popped() == [uuid]
        assert stop.calls == (2 if stage == "link retry" else 1)


@repeatable
@pytest.mark.parametrize("stage", STAGES)
async def test_two_chains_on_one_vcon(
    redis_url: str, tmp_path: Path, postgres_dsn: str, stage: str, repeatable: bool
) -> None:
    """One stops at a stage while the other goes all the way."""
    stop = Stop(stage)

    async def second(vcon: Vcon, run: LinkRun) -> Outcome:
        await stop.reached.wait()
        vcon.add_tag("second", "x")
        return CONTINUE

    ours = step("ours", stop.link, repeatable=repeatable)
    theirs = step("second", second, repeatable=repeatable)
    one = Chain("one", (ours,), STORAGES, ("in",), egress=("out",))
    two = Chain("two", (theirs,), ("file", "postgres"), ("more",), egress=("out",))
    async with (
        three_storages(stop, tmp_path, postgres_dsn) as units,
        site(redis_url, one, two, storages=units) as it,
    ):
        uuid = (await it.ingest.accept(vcon(), ("in", "more"))).uuid
        await it.settled("more")
        stop.go.set()
        await it.settled("in", "more")
        await assert_one_version(it, units, uuid, {"ours", "second"})
        assert await open_work(it.backend.connections.commands, uuid) == (0, 2)
        assert await it.popped() == [uuid, uuid]


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(
    "call", ["commit defer document", "commit finish", "commit finish document"]
)
async def test_a_put_while_the_outcome_of_a_commit_is_unknown(
    redis_url: str, call: str, direction: Direction
) -> None:
    """The connection is cut at the commit, and before it is repeated somebody replaces the vCon."""
    cuts, stop = RedisCuts(), Stop("nowhere")
    ours = step("ours", stop.link, repeatable=call == "commit finish document")
    chain = Chain("main", (ours,), ("s",), ("in",), egress=("out",))
    storages = {"s": unit("s", MemoryStorage())}
    async with (
        tcp_proxy(socket_of(redis_url), cuts.tap) as proxy,
        site(f"redis://127.0.0.1:{proxy.port}", chain, storages=storages) as it,
        site(redis_url, start=False, storages=storages, name="theirs") as beside,
    ):
        cut = add_cut(cuts, call, direction, 0.0)
        # And no repetition gets through before the change.
        for _ in range(100):
            add_cut(cuts, call, Direction.REQUESTS, 0.0)
        (uuid,) = await it.submit(vcon())
        while not cut.done:
            await asyncio.sleep(0.001)
        await change(beside, uuid, "theirs")
        cuts.clear()
        await it.settled()
        if "finish" in call and direction is Direction.REPLIES:
            # It was done before the change: the storages have what was current then.
            assert (
                it.memory["s"].vcons[uuid].rev < (await it.backend.documents.fetch([uuid]))[0].rev
            )
            tags = Vcon(await it.lookup.get(uuid) or b"").tags
            assert Counter(tags) == Counter(["ours:x", "theirs:x"])
        else:
            await assert_one_version(it, storages, uuid, {"ours", "theirs"})
        assert await it.popped() == [uuid]
        assert stop.calls == 1


@repeatable
async def test_many_at_random(redis_url: str, repeatable: bool) -> None:
    """Two chains and a client on each vCon, with retries and cuts, in a random order."""
    rng = random.Random(11)
    storages = {name: unit(name, MemoryStorage()) for name in ("s", "t")}

    def moody(tag: str) -> LinkFunction:
        async def link(vcon: Vcon, run: LinkRun) -> Outcome:
            await asyncio.sleep(rng.uniform(0, 0.02))
            vcon.add_tag(tag, "x")
            if run.attempt < 3 and rng.random() < 0.2:
                raise Retryable("later", retry_after=0.01)
            return CONTINUE

        return link

    a, b, c = (step(name, moody(name), repeatable=repeatable) for name in "abc")
    one = Chain("one", (a, b), ("s", "t"), ("in",))
    two = Chain("two", (c,), ("t", "s"), ("more",))
    async with (
        tcp_proxy(socket_of(redis_url)) as proxy,
        site(f"redis://127.0.0.1:{proxy.port}", one, two, storages=storages, lease=1.0),
        site(redis_url, one, two, start=False, storages=storages, name="client") as client,
    ):

        async def cut_now_and_then() -> None:
            while True:
                await asyncio.sleep(rng.uniform(0.01, 0.05))
                proxy.cut_after(rng.randrange(3000), rng.choice(list(Direction)))

        async def work_on(number: int) -> str:
            await asyncio.sleep(number * 0.01)
            uuid = (await client.ingest.accept(vcon(), ("in", "more"))).uuid
            for tag in ("x", "y", "z"):
                await asyncio.sleep(rng.uniform(0, 0.03))
                await change_checked(client, uuid, tag)
            return uuid

        cutting = asyncio.create_task(cut_now_and_then())
        uuids = await asyncio.gather(*map(work_on, range(40)))
        cutting.cancel()
        proxy.restore()
        await client.settled("in", "more")
        # Some were changed after their chains had ended: once more, for the storages' sake.
        assert await client.ingest.enqueue(uuids, "in") == 0
        await client.settled("in", "more")
        for uuid in uuids:
            await assert_one_version(client, storages, uuid, {"a", "b", "c", "x", "y", "z"})
            assert await open_work(client.backend.connections.commands, uuid) == (0, 0)
        assert await client.dead("more") == []


async def change_checked(it: Site, uuid: str, name: str) -> None:
    """Replace the vCon by one with a further tag, as a client does that sends If-Match."""
    while True:
        (found,) = await it.backend.documents.fetch([uuid])
        vcon = Vcon(found.document or b"")
        vcon.add_tag(name, "x")
        try:
            await it.ingest.accept(vcon.to_bytes(), expect_uuid=uuid, expect_rev=found.rev)
        except RevisionMismatch:
            continue
        return


@pytest.mark.parametrize("stage", ["link", "link retry"])
async def test_a_contradiction_runs_the_link_again(redis_url: str, stage: str) -> None:
    stop, seen = Stop(stage), []

    async def subject(vcon: Vcon, run: LinkRun) -> Outcome:
        seen.append(vcon.subject)
        vcon.set("subject", f"{vcon.subject}, ours")
        await stop.wait("link")
        stop.fail("link retry")
        return CONTINUE

    first = step("subject", subject)
    chain = Chain("main", (first, step("ours", stop.link)), ("s",), ("in",), egress=("out",))
    storages = {"s": unit("s", MemoryStorage())}
    async with site(redis_url, chain, storages=storages) as it:
        (uuid,) = await it.submit(vcon(subject="first"))
        await stop.reached.wait()
        changed = json.loads(await it.lookup.get(uuid) or b"") | {"subject": "theirs"}
        await it.ingest.accept(json.dumps(changed).encode(), expect_uuid=uuid, expect_rev=0)
        stop.go.set()
        await it.settled()
        assert seen == ["first", "theirs"]
        assert Vcon(await it.lookup.get(uuid) or b"").subject == "theirs, ours"
        await assert_one_version(it, storages, uuid, {"ours"})
        assert await it.popped() == [uuid]
