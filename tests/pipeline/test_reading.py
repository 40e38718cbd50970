"""Documents come with the entries; what happens while they are on their way."""

import asyncio
from collections.abc import Sequence

import pytest
from pipeline_support import Site, site, step, until, vcon

from vconflow.errors import Permanent, Unavailable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.documents import Document
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

LEASE = 0.3


class Gate:
    """A replica's first fetch of documents: it waits, or fails with what it is given."""

    def __init__(self, it: Site, error: Exception | None = None) -> None:
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self._fetch, self._error = it.backend.documents.fetch, error
        it.backend.documents.fetch = self  # type: ignore[method-assign,assignment]

    async def __call__(self, uuids: Sequence[str]) -> list[Document]:
        if not self.reached.is_set():
            self.reached.set()
            if self._error:
                raise self._error
            found = await self._fetch(uuids)
            await self.go.wait()
            return found
        return await self._fetch(uuids)


class Counting:
    """Tags, and counts how often each entry came. May be held."""

    def __init__(self, *, is_held: bool = False) -> None:
        self.seen: list[str] = []
        self.go = asyncio.Event()
        if not is_held:
            self.go.set()

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.seen.append(vcon.uuid)
        await self.go.wait()
        vcon.add_tag("a", "a")
        return CONTINUE


def chain_of(link: Counting) -> Chain:
    return Chain("main", (step("a", link),), lists=("in",), egress=("out",))


async def test_what_waits_for_its_document_is_ours(valkey_url: str) -> None:
    """Its lease is renewed, so that nobody takes it over: neither another replica nor we."""
    link, other = Counting(), Counting()
    async with site(valkey_url, chain_of(link), name="slow", lease=LEASE, start=False) as it:
        gate = Gate(it)
        uuids = await it.submit(*(vcon() for _ in range(5)))
        await it.replica.start()
        await gate.reached.wait()
        async with site(valkey_url, chain_of(other), name="other", lease=LEASE):
            assert len(it.replica.consumer.owned()["in"]) == 5
            await asyncio.sleep(4 * LEASE)
            gate.go.set()
            await it.settled()
        await until(lambda: not it.replica.consumer.owned())
        assert (sorted(link.seen), other.seen) == (sorted(uuids), [])
        assert sorted(await it.popped()) == sorted(uuids)
        assert it.replica.consumer.inflight("main") == 0
        assert await it.dead() == []


@pytest.mark.parametrize("is_told", [False, True])
async def test_what_another_replica_finished_meanwhile_is_not_done_again(
    valkey_url: str, is_told: bool
) -> None:
    slow, heir = Counting(), Counting()
    async with site(valkey_url, chain_of(slow), name="slow", lease=LEASE, start=False) as it:
        gate = Gate(it)
        uuids = await it.submit(*(vcon() for _ in range(5)))
        await it.replica.start()
        await gate.reached.wait()
        leases = it.replica._leases
        await it.replica._supervisor.stop("leases")
        async with site(valkey_url, chain_of(heir), name="heir", lease=LEASE) as other:
            await other.settled()
            assert sorted(heir.seen) == sorted(uuids)
            if is_told:
                await leases.renew()
                assert it.replica.consumer.owned() == {}
            gate.go.set()
            await until(lambda: not it.replica.consumer.owned())
            await until(lambda: len(slow.seen) == (0 if is_told else 5))
            await other.settled()
            assert sorted(await other.popped()) == sorted(uuids)
            assert await other.dead() == []
            for uuid in uuids:
                document = await other.lookup.get(uuid)
                assert document is not None
                assert Vcon(document).tags == ["a:a"]


@pytest.mark.parametrize("error", [Unavailable("away"), Permanent("refused")])
async def test_entries_ask_for_themselves_when_the_fetch_failed(
    valkey_url: str, error: Exception
) -> None:
    link = Counting()
    async with site(valkey_url, chain_of(link), start=False) as it:
        gate = Gate(it, error)
        uuids = await it.submit(*(vcon() for _ in range(5)))
        await it.replica.start()
        await gate.reached.wait()
        await it.settled()
        assert sorted(link.seen) == sorted(uuids)
        assert sorted(await it.popped()) == sorted(uuids)


async def test_a_vcon_deleted_meanwhile_is_not_written_again(valkey_url: str) -> None:
    link = Counting()
    async with site(valkey_url, chain_of(link), start=False) as it:
        gate = Gate(it)
        kept, gone = await it.submit(vcon(), vcon())
        await it.replica.start()
        await gate.reached.wait()
        await it.lookup.delete(gone)
        gate.go.set()
        await it.settled()
        assert await it.popped() == [kept]
        assert await it.lookup.get(gone) is None


async def test_half_of_a_chain_is_read_while_the_other_half_works(valkey_url: str) -> None:
    """And the last one too, when the half is rounded."""
    link = Counting(is_held=True)
    chain = Chain("main", (step("a", link),), lists=("in",), concurrency=5)
    async with site(valkey_url, chain, start=False) as it:
        sizes: list[int] = []
        read = it.backend.stream.read

        async def watch(*args: object) -> object:
            entries = await read(*args)  # type: ignore[arg-type]
            sizes.append(len(entries))
            return entries

        it.backend.stream.read = watch  # type: ignore[method-assign,assignment]
        await it.submit(*(vcon() for _ in range(8)))
        await it.replica.start()
        await until(lambda: it.replica.consumer.inflight("main") == 5)
        assert [size for size in sizes if size] == [3, 2]
        link.go.set()
        await it.settled()
        assert len(link.seen) == 8
