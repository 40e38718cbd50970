"""What every backend has to do with lists that are read."""

import asyncio

import pytest

from vconflow.ports.stream import ListDepth, ReadRequest
from vconflow.testing.contracts.backend_support import (
    Backend,
    BackendFixtures,
    BackendServer,
    fill,
    read,
)

__all__ = ["StreamContract"]


class StreamContract(BackendFixtures):
    """`EntryStream`: reading, waiting, counting."""

    async def test_first_in_first_out_and_each_to_one_replica(
        self, one: Backend, two: Backend
    ) -> None:
        uuids = await fill(one, "a", 6)
        taken = [await read(backend, "a", count=2) for backend in (one, two, one, two)]
        got = [entry.uuid for entries in taken for entry in entries]
        assert self.ordered(got) == self.ordered(uuids)

    async def test_a_list_is_read_from_its_first_entry(self, one: Backend) -> None:
        await fill(one, "a", 1)
        assert (await one.stream.depth(["a"]))["a"].waiting == 1
        await one.stream.ensure(["a"])
        await one.stream.ensure(["a"])
        assert len(await read(one, "a")) == 1

    async def test_budgets_and_the_total_are_kept(self, one: Backend) -> None:
        await one.stream.ensure(["a", "b", "c"])
        for name, count in (("a", 20), ("b", 5), ("c", 5)):
            await fill(one, name, count)
        requests = [ReadRequest(("a", "b"), 8), ReadRequest(("c",), 3)]
        entries = await one.stream.read(requests, 10, 0.0)
        taken = [entry.list for entry in entries]
        if self.in_order:
            assert {name: taken.count(name) for name in "abc"} == {"a": 4, "b": 4, "c": 2}
        assert len(taken) == 10
        assert taken.count("c") <= 3
        entries = await one.stream.read(requests, 100, 0.0)
        taken = [entry.list for entry in entries]
        if self.in_order:
            assert {name: taken.count(name) for name in "abc"} == {"a": 7, "b": 1, "c": 3}
        assert taken.count("c") <= 3
        assert taken.count("a") + taken.count("b") == 8

    async def test_a_long_list_gets_what_the_others_leave(self, one: Backend) -> None:
        await one.stream.ensure(["a", "b"])
        await fill(one, "a", 20)
        entries = await one.stream.read([ReadRequest(("a", "b"), 10)], 10, 0.0)
        assert len(entries) == 10

    @pytest.mark.parametrize("lists", [("a",), ("a", "b")])
    async def test_a_waiting_read_gets_what_arrives(
        self, one: Backend, two: Backend, lists: tuple[str, ...]
    ) -> None:
        await one.stream.ensure(lists)
        waiting = asyncio.create_task(one.stream.read([ReadRequest(lists, 5)], 5, 60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        (uuid,) = await fill(two, lists[-1], 1)
        async with asyncio.timeout(5):
            assert [entry.uuid for entry in await waiting] == [uuid]

    async def test_a_waiting_read_is_woken_without_losing_anything(self, one: Backend) -> None:
        await one.stream.ensure(["a"])
        waiting = asyncio.create_task(one.stream.read([ReadRequest(("a",), 5)], 5, 60))
        async with asyncio.timeout(5):
            while not waiting.done():
                await asyncio.sleep(0.05)
                await one.stream.wake()
        assert await waiting == []
        await fill(one, "a", 1)
        assert len(await read(one, "a")) == 1

    async def test_waking_nobody_leaves_the_next_read_alone(self, one: Backend) -> None:
        await one.stream.ensure(["a"])
        await one.stream.wake()
        waiting = asyncio.create_task(one.stream.read([ReadRequest(("a",), 5)], 5, 60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await fill(one, "a", 1)
        async with asyncio.timeout(5):
            assert len(await waiting) == 1

    async def test_depth_counts_what_waits_and_what_is_owned(
        self, one: Backend, server: BackendServer
    ) -> None:
        await one.stream.ensure(["a", "b"])
        await fill(one, "a", 3)
        await read(one, "a", count=1)
        await server.let_pass(0.2)
        depth = await one.stream.depth(["a", "b"])
        assert (depth["a"].waiting, depth["a"].pending, depth["a"].dead) == (2, 1, 0)
        assert depth["a"].oldest >= 0.15
        assert depth["b"] == ListDepth(0, 0, 0)
