"""What every backend has to do with lists, leases and names."""

import asyncio

import pytest

from vconflow.ports.egress import LONGEST_LEASE
from vconflow.ports.ledger import Defer, Progress, Verdict
from vconflow.ports.stream import Displaced, ListDepth, ReadRequest
from vconflow.testing.contracts.backend_support import (
    Backend,
    BackendFixtures,
    BackendServer,
    accept,
    commit,
    commit_of,
    fill,
    read,
    vcon,
)

__all__ = ["StreamContract"]


class StreamContract(BackendFixtures):
    """`EntryStream` and `EgressLists`."""

    async def test_first_in_first_out_and_each_to_one_replica(
        self, one: Backend, two: Backend
    ) -> None:
        uuids = await fill(one, "a", 6)
        taken = [await read(backend, "a", count=2) for backend in (one, two, one, two)]
        assert [entry.uuid for entries in taken for entry in entries] == uuids

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
        assert {name: taken.count(name) for name in "abc"} == {"a": 4, "b": 4, "c": 2}
        entries = await one.stream.read(requests, 100, 0.0)
        taken = [entry.list for entry in entries]
        assert {name: taken.count(name) for name in "abc"} == {"a": 7, "b": 1, "c": 3}

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

    async def test_own_entries_come_back_in_pages(self, one: Backend, two: Backend) -> None:
        await fill(one, "a", 6)
        entries = await read(one, "a", count=5)
        await read(two, "a")
        first = await one.stream.recover("a", "", 3)
        rest = await one.stream.recover("a", first[-1].entry.id, 3)
        assert [item.entry for item in first + rest] == entries
        assert {item.progress.crashes for item in first + rest} == {1}
        assert await one.stream.recover("a", rest[-1].entry.id, 3) == []

    async def test_what_another_works_on_is_not_taken_over(
        self, one: Backend, two: Backend
    ) -> None:
        await fill(one, "a", 2)
        await read(one, "a", count=1)
        assert await two.stream.take_over("a", 10) == []
        assert len(await read(two, "a")) == 1

    async def test_every_take_over_counts_a_crash(
        self, one: Backend, two: Backend, server: BackendServer
    ) -> None:
        await fill(one, "a", 1)
        (entry,) = await read(one, "a")
        (found,) = await one.documents.fetch([entry.uuid])
        # Until it really runs again, the end of its owner is no further crash of it.
        for crashes, backend, runs in ((1, two, False), (1, one, True), (2, two, True)):
            await self.let_lease_pass(server)
            (taken,) = await backend.stream.take_over("a", 10)
            assert (taken.entry, taken.progress.crashes) == (entry, crashes)
            assert taken.progress.parked
            if runs:
                running = commit_of(entry, found, then=Defer(Progress()))
                assert (await commit(backend, running)).verdict is Verdict.DONE
        assert (await one.stream.depth(["a"]))["a"].pending == 1

    async def test_an_answer_that_was_lost_is_no_crash(
        self, one: Backend, server: BackendServer
    ) -> None:
        """Read, but the answer never came: nobody has worked on these entries."""
        await fill(one, "a", 2)
        lost, dropped = [entry.id for entry in await read(one, "a")]
        await self.let_lease_pass(server)
        taken = await one.stream.take_over("a", 10, [dropped])
        assert [(item.entry.id, item.progress.crashes) for item in taken] == [
            (lost, 0),
            (dropped, 1),
        ]

    async def test_renewed_leases_are_not_taken_over(
        self, one: Backend, two: Backend, server: BackendServer
    ) -> None:
        await fill(one, "a", 3)
        ids = [entry.id for entry in await read(one, "a")]
        for _ in range(4):
            await server.let_pass(server.lease / 3)
            assert await one.stream.renew({"a": ids}) == []
        assert await two.stream.take_over("a", 10) == []
        await self.let_lease_pass(server)
        assert len(await two.stream.take_over("a", 2)) == 2
        lost = await one.stream.renew({"a": ids})
        assert lost == [("a", entry) for entry in ids[:2]]
        # Renewing must not have stolen them back.
        assert await two.stream.renew({"a": ids[:2]}) == []

    async def test_handed_over_entries_are_taken_at_once_and_are_no_crash(
        self, one: Backend, two: Backend
    ) -> None:
        await fill(one, "a", 3)
        *ids, kept = [entry.id for entry in await read(one, "a")]
        await one.stream.hand_over({"a": ids})
        # Only its owner can give an entry up.
        await two.stream.hand_over({"a": [kept]})
        taken = await two.stream.take_over("a", 10)
        assert [item.entry.id for item in taken] == ids
        assert [item.progress.crashes for item in taken] == [0, 0]

    async def test_who_lost_its_name_hands_nothing_over(self, server: BackendServer) -> None:
        async with server.replica("same") as late, server.replica("other") as other:
            await fill(late, "a", 1)
            (entry,) = await read(late, "a")
            await self.let_lease_pass(server)
            async with server.replica("same") as successor:
                assert await successor.stream.renew({"a": [entry.id]}) == []
                await late.stream.hand_over({"a": [entry.id]})
                assert await other.stream.take_over("a", 10) == []

    async def test_a_clone_gets_a_name_of_its_own(self, server: BackendServer) -> None:
        async with server.replica("twin") as one, server.replica("twin") as two:
            assert (one.stream.consumer, two.stream.consumer) == ("twin", "twin-2")
        async with server.replica("twin") as again:
            assert again.stream.consumer == "twin"

    async def test_who_lost_the_name_is_told(self, server: BackendServer) -> None:
        async with server.replica("same") as late:
            await self.let_lease_pass(server)
            async with server.replica("same") as holder:
                assert holder.stream.consumer == "same"
                with pytest.raises(Displaced, match="holds the name"):
                    await late.stream.renew({})
                assert await holder.stream.renew({}) == []
            # Nobody has it now.
            assert await late.stream.renew({}) == []

    async def test_reaping_leaves_what_the_dead_own(
        self, two: Backend, server: BackendServer
    ) -> None:
        for name, count in (("busy", 1), ("idle", 0)):
            async with server.replica(name) as backend:
                await fill(backend, "a", count)
                await read(backend, "a")
        await two.stream.reap(["a"])
        await self.let_lease_pass(server)
        assert len(await two.stream.take_over("a", 10)) == 1

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

    async def test_popped_entries_come_back_unless_acknowledged(
        self, one: Backend, server: BackendServer
    ) -> None:
        await fill(one, "out", 3)
        first, second = await one.egress.lease("out", 2)
        assert await one.egress.depth("out") == 1
        assert await one.egress.ack("out", [first]) == [first.lease_id]
        assert await one.egress.ack("out", [first]) == []
        await one.egress.give_back("out", [second])
        again = await one.egress.lease("out", 5)
        assert again[0].id == second.id
        assert len(again) == 2
        assert await one.egress.depth("out") == 0
        await self.let_lease_pass(server)
        assert await one.egress.depth("out") == 2
        assert len(await one.egress.lease("out", 5)) == 2

    async def test_leases_of_any_length_end_each_at_its_time(
        self, one: Backend, server: BackendServer
    ) -> None:
        await fill(one, "out", 4)
        (short,) = await one.egress.lease("out", 1, server.lease / 10)
        long = await one.egress.lease("out", 2, LONGEST_LEASE)
        (common,) = await one.egress.lease("out", 1)
        await self.let_lease_pass(server)
        again = await one.egress.lease("out", 5, LONGEST_LEASE)
        assert [entry.id for entry in again] == [short.id, common.id]
        assert await one.egress.extend("out", [long[0]], server.lease / 10) == [long[0].lease_id]
        await server.let_pass(server.lease / 5)
        assert await one.egress.depth("out") == 1
        assert [entry.id for entry in await one.egress.lease("out", 5)] == [long[0].id]

    async def test_an_earlier_lease_of_an_entry_has_no_effect(
        self, one: Backend, two: Backend
    ) -> None:
        await fill(one, "out", 1)
        (first,) = await one.egress.lease("out", 1)
        assert await one.egress.give_back("out", [first]) == [first.lease_id]
        assert await one.egress.extend("out", [first], 100) == [first.lease_id]
        assert await two.egress.lease("out", 1) == []
        await one.egress.give_back("out", [first])
        (second,) = await two.egress.lease("out", 1)
        assert second.id == first.id
        for settle in (one.egress.ack, one.egress.give_back):
            assert await settle("out", [first]) == []
        assert await one.egress.extend("out", [first], 100) == []
        assert await two.egress.lease("out", 1) == []
        found = await one.egress.find("out", [second.lease_id, first.lease_id, "1-1.1"])
        assert [entry.lease_id for entry in found] == [second.lease_id, first.lease_id]
        assert await one.egress.ack("out", found) == [second.lease_id]
        assert await one.egress.find("out", [second.lease_id]) == []

    async def test_a_list_that_nobody_has_used_is_empty(self, one: Backend) -> None:
        assert await one.egress.lease("nothing", 5) == []
        assert await one.egress.depth("nothing") == 0

    async def test_two_clients_never_pop_the_same(self, one: Backend, two: Backend) -> None:
        await accept(one, vcon(), "out")
        await fill(one, "out", 9)
        popped = await asyncio.gather(one.egress.lease("out", 5), two.egress.lease("out", 5))
        assert len({entry.id for entries in popped for entry in entries}) == 10
