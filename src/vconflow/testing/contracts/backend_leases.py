"""What every backend has to do with entries and names that replicas hold."""

import pytest

from vconflow.ports.ledger import Defer, Progress, Verdict
from vconflow.ports.stream import Displaced, Resumed
from vconflow.testing.contracts.backend_support import (
    Backend,
    BackendFixtures,
    BackendServer,
    commit,
    commit_of,
    fill,
    read,
)

__all__ = ["LeaseContract"]


class LeaseContract(BackendFixtures):
    """`EntryStream`: resuming, renewing, handing over."""

    async def test_own_entries_come_back_in_pages(self, one: Backend, two: Backend) -> None:
        await fill(one, "a", 6)
        entries = await read(one, "a", count=5)
        await read(two, "a")
        found: list[Resumed] = []
        while page := await one.stream.recover("a", found[-1].entry.id if found else "", 3):
            assert len(page) <= 3
            found += page
        by_id = {item.entry.id: item.entry for item in found}
        assert self.ordered(by_id) == self.ordered(entry.id for entry in entries)
        assert [by_id[entry.id] for entry in entries] == entries
        assert {item.progress.crashes for item in found} == {1}

    async def test_lists_with_something_left_are_told_from_others(
        self, one: Backend, two: Backend, server: BackendServer
    ) -> None:
        lists = ["empty", "a", "b"]
        await one.stream.ensure(lists)
        await fill(one, "a", 1)
        await fill(one, "b", 1)
        await read(one, "a")
        assert await one.stream.left(lists, own=True) == ["a"]
        assert await two.stream.left(lists, own=True) == []
        assert await two.stream.left(lists) == []
        await self.let_lease_pass(server)
        assert await two.stream.left(lists) == ["a"]
        assert await two.stream.left([]) == []

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
        taken = [item.entry.id for item in await two.stream.take_over("a", 2)]
        assert self.ordered(taken) == self.ordered(ids[:2] if self.in_order else taken)
        assert len(taken) == 2
        lost = await one.stream.renew({"a": ids})
        assert self.ordered(lost) == self.ordered(("a", entry) for entry in taken)
        # Renewing must not have stolen them back.
        assert await two.stream.renew({"a": taken}) == []

    async def test_what_a_client_has_on_lease_is_taken_over_when_the_lease_ends(
        self, one: Backend, two: Backend, server: BackendServer
    ) -> None:
        """A chain may begin to read a list that clients have fetched from."""
        await fill(one, "a", 4)
        short, given_back, long = await one.egress.lease("a", 3, 100 * server.lease)
        await one.egress.extend("a", [short], server.lease)
        await one.egress.give_back("a", [given_back])
        (read_before,) = await read(one, "a")
        await self.let_lease_pass(server)
        taken = await two.stream.take_over("a", 2)
        taken += await two.stream.take_over("a", 2)
        ids = [(item.entry.id, item.progress.crashes) for item in taken]
        expected = [(short.id, 0), (given_back.id, 0), (read_before.id, 1)]
        assert self.ordered(ids) == self.ordered(expected)
        assert await one.egress.ack("a", [short, given_back]) == []
        assert await one.egress.ack("a", [long]) == [long.lease_id]

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
