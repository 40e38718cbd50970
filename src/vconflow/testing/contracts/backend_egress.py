"""What every backend has to do with lists that clients fetch from."""

import asyncio

from vconflow.ports.egress import LONGEST_LEASE
from vconflow.testing.contracts.backend_support import (
    Backend,
    BackendFixtures,
    BackendServer,
    accept,
    fill,
    vcon,
)

__all__ = ["EgressContract"]


class EgressContract(BackendFixtures):
    """`EgressLists`."""

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
        assert (again[0].id if self.in_order else second.id) == second.id
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
        assert self.ordered(entry.id for entry in again) == self.ordered([short.id, common.id])
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
