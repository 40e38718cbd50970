"""Storages that get a vCon before Redis has it: whoever interferes, both end with the same."""

import asyncio
from collections.abc import Sequence

import pytest
from pipeline_support import Site, site, step, tagging, unit, vcon

from vconflow.errors import Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome, Route
from vconflow.testing.memory_storage import MemoryStorage

ATTACHMENTS = [{"type": "x", "body": "1", "encoding": "none"}]

both = pytest.mark.parametrize("repeatable", [False, True])


class Waiting(MemoryStorage):
    """Its first write of a vCon with a text in it waits for `go`, and fails if that was said."""

    def __init__(self, text: bytes = b"", *, error: Exception | None = None) -> None:
        super().__init__()
        self._text = text
        self._error = error
        self.writing, self.go = asyncio.Event(), asyncio.Event()

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        if not self.writing.is_set() and self._text in vcons[0].document:
            self.writing.set()
            await self.go.wait()
            if self._error is not None:
                raise self._error
        await super().put(vcons)


async def assert_same(it: Site, uuid: str, *storages: MemoryStorage) -> list[str]:
    """Redis and the storages have the same; its tags."""
    document = await it.lookup.get(uuid)
    assert document is not None
    assert [storage.vcons[uuid].document for storage in storages] == [document] * len(storages)
    return Vcon(document).tags


class Cut(MemoryStorage):
    """Stores, and its answer does not come while it `hangs`."""

    def __init__(self) -> None:
        super().__init__()
        self.stored, self.hangs = asyncio.Event(), True

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        await super().put(vcons)
        if self.hangs:
            self.stored.set()
            await asyncio.Event().wait()


async def test_links_that_change_nothing_the_second_time(valkey_url: str) -> None:
    storage = Cut()
    units = {"s": unit("s", storage)}
    before = Chain("main", (step("a", repeatable=True),), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, before, storages=units, name="before", grace=0) as it:
        (uuid,) = await it.submit(vcon())
        await storage.stored.wait()
    storage.hangs = False
    # Meanwhile the link left the configuration: what it made must not stay in the storage.
    after = Chain("main", (), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, after, storages=units, name="after", lease=0.5) as it:
        await it.settled()
        assert await it.popped() == [uuid]
        assert await assert_same(it, uuid, storage) == []


async def contradicted(it: Site, storage: Waiting) -> str:
    """Somebody drops what our links add to while the storage writes; the uuid, when all is over."""
    (uuid,) = await it.submit(vcon(attachments=ATTACHMENTS))
    await storage.writing.wait()
    await it.ingest.accept(vcon(uuid, attachments=[]), ())
    storage.go.set()
    await it.settled()
    return uuid


@both
async def test_one_entry_is_written_once_and_known_by_one_revision(
    redis_url: str, repeatable: bool
) -> None:
    storage = Waiting()
    a = step("a", repeatable=repeatable)
    chain = Chain("main", (a,), ("s",), ("in",), egress=("out",))
    async with site(redis_url, chain, storages={"s": unit("s", storage)}) as it:
        (uuid,) = await it.submit(vcon())
        await storage.writing.wait()
        (meanwhile,) = await it.backend.documents.fetch([uuid])
        assert Vcon(meanwhile.document or b"").tags == ([] if repeatable else ["a:a"])
        storage.go.set()
        await it.settled()
        (now,) = await it.backend.documents.fetch([uuid])
        assert storage.vcons[uuid].rev == now.rev
        assert (now.rev == meanwhile.rev + 1) is repeatable
        assert await assert_same(it, uuid, storage) == ["a:a"]


@both
@pytest.mark.parametrize("fails", [False, True])
async def test_a_contradiction_while_a_storage_writes_runs_the_links_again(
    redis_url: str, repeatable: bool, fails: bool
) -> None:
    calls = 0

    async def link(vcon: Vcon, run: LinkRun) -> Outcome:
        nonlocal calls
        calls += 1
        vcon.add_tag("a", "a")
        return Route(("routed",))

    storage = Waiting(error=Retryable("later") if fails else None)
    ours = step("ours", link, repeatable=repeatable)
    chain = Chain("main", (ours,), ("s",), ("in",), egress=("out",))
    async with site(redis_url, chain, storages={"s": unit("s", storage)}) as it:
        uuid = await contradicted(it, storage)
        assert calls == (2 if repeatable else 1)
        tags = await assert_same(it, uuid, storage)
        # Written before, the document is there for others to replace, tags and all.
        assert tags == (["a:a"] if repeatable else [])
        assert (await it.popped("routed"), await it.popped()) == ([uuid], [uuid])
        assert await it.dead() == []


async def test_a_link_that_fails_when_it_runs_again_is_not_skipped(redis_url: str) -> None:
    calls = 0

    async def link(vcon: Vcon, run: LinkRun) -> Outcome:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Retryable("later")
        vcon.add_tag("a", "a")
        return CONTINUE

    storage = Waiting()
    chain = Chain("main", (step("ours", link, repeatable=True),), ("s",), ("in",), egress=("out",))
    async with site(redis_url, chain, storages={"s": unit("s", storage)}) as it:
        uuid = await contradicted(it, storage)
        assert calls == 3
        assert await assert_same(it, uuid, storage) == ["a:a"]
        assert await it.popped() == [uuid]


@pytest.mark.parametrize("contradicts", [False, True])
async def test_of_two_chains_none_undoes_what_the_other_stored(
    redis_url: str, contradicts: bool
) -> None:
    """One writes to the storage while the other goes all the way."""
    go = asyncio.Event()

    async def first(vcon: Vcon, run: LinkRun) -> Outcome:
        await go.wait()
        if contradicts:
            vcon.edit("attachments").clear()
        vcon.add_tag("a", "a")
        return CONTINUE

    storage = Waiting(b"b:b")
    one = Chain("one", (step("a", first, repeatable=True),), ("s",), ("in",), egress=("out",))
    b = step("b", tagging("b"), repeatable=True)
    two = Chain("two", (b,), ("s",), ("more",), egress=("out",))
    async with site(redis_url, one, two, storages={"s": unit("s", storage)}) as it:
        document = vcon(attachments=ATTACHMENTS)
        uuid = (await it.ingest.accept(document, ("in", "more"))).uuid
        await storage.writing.wait()
        go.set()
        await it.settled("in")
        storage.go.set()
        await it.settled("in", "more")
        tags = await assert_same(it, uuid, storage)
        assert "a:a" in tags
        assert await it.popped() == [uuid, uuid]


async def test_what_a_failing_chain_stored_ahead_is_put_right(redis_url: str) -> None:
    """A PUT comes while one storage has it already, before the other refuses it for good."""
    storage, refusing = MemoryStorage(), Waiting(error=Permanent("refused"))
    units = {"s": unit("s", storage), "t": unit("t", refusing)}
    chain = Chain("main", (step("a", repeatable=True),), ("s", "t"), ("in",))
    async with site(redis_url, chain, storages=units) as it:
        (uuid,) = await it.submit(vcon())
        await refusing.writing.wait()
        await it.ingest.accept(vcon(uuid, subject="theirs"), ())
        refusing.go.set()
        await it.settled()
        (letter,) = await it.dead()
        assert letter.stage == "storage:t"
        assert await assert_same(it, uuid, storage) == ["a:a"]
        assert Vcon(storage.vcons[uuid].document).subject == "theirs"
