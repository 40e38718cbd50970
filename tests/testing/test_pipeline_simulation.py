"""Whole lives of a site at random: whatever fails and dies, every vCon ends well or with a reason.

VCONFLOW_TEST_SEEDS=2000 runs that many simulations instead of a few.
"""

import asyncio
import json
import os
from collections import Counter

import pytest
from jumping_loop import run_jumping
from simulated_site import LEASE, SimulatedReplica, SimulatedSite

from vconflow.errors import Retryable
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.testing.memory.lists import Buried

SEEDS = int(os.environ.get("VCONFLOW_TEST_SEEDS", "60"))
VCONS = 40


def document(uuid: str) -> bytes:
    parties = [{"tel": "+15550100", "name": "Ann"}]
    created_at = "2025-03-21T06:59:56Z"
    return json.dumps(
        {"vcon": "0.0.1", "uuid": uuid, "created_at": created_at, "parties": parties}
    ).encode()


class Simulation:
    """Clients that post and delete, replicas that come and go, and who counts afterwards."""

    def __init__(self, seed: int, *, poison: bool = True) -> None:
        self.poison = poison
        self.site = SimulatedSite(seed)
        self.chance = self.site.chance
        self.posts: Counter[str] = Counter()
        self.accepted: set[str] = set()
        self.deleted: set[str] = set()
        self.replicas: dict[str, SimulatedReplica] = {}
        self.kills = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self.keep(name)) for name in ("one", "two")]
            chaos = group.create_task(self.trouble())
            clients = [group.create_task(self.client(new_uuid())) for _ in range(VCONS)]
            await asyncio.sleep(600)
            chaos.cancel()
            self.site.calm_down()
            await asyncio.wait(clients)
            await self.settle()
            for task in keepers:
                task.cancel()
        for replica in self.replicas.values():
            await replica.stop()
        self.count()

    async def keep(self, name: str) -> None:
        """Start a replica again, soon or late, whenever it has ended."""
        while True:
            replica = self.replicas[name] = SimulatedReplica(self.site, name)
            await replica.start()
            await replica.ended.wait()
            await asyncio.sleep(self.chance.choice([0, 1, LEASE, 2 * LEASE]))

    async def trouble(self) -> None:
        """Kill or stop a replica now and then."""
        while True:
            await asyncio.sleep(self.chance.uniform(0, 60))
            replica = self.chance.choice(list(self.replicas.values()))
            if self.chance.random() < 0.3:
                await replica.stop()
            else:
                replica.kill()
                self.kills += 1

    async def client(self, uuid: str) -> None:
        """Post until it is answered, as a client does; some delete what they posted."""
        await asyncio.sleep(self.chance.uniform(0, 300))
        kind = self.chance.random()
        if self.poison and kind < 0.05:
            self.site.poison.add(uuid)
        elif self.poison and kind < 0.1:
            self.site.killers.add(uuid)
        while not await self.post(uuid):
            await asyncio.sleep(1)
        self.accepted.add(uuid)
        if kind > 0.85:
            await asyncio.sleep(self.chance.uniform(0, 20))
            while not await self.delete(uuid):
                await asyncio.sleep(1)
            self.deleted.add(uuid)

    async def post(self, uuid: str) -> bool:
        ingest = self.replicas[self.chance.choice(["one", "two"])].ingest
        if ingest is None:
            return False
        self.posts[uuid] += 1
        try:
            async with asyncio.timeout(5):
                await ingest.accept(document(uuid), ("in",))
        except (TimeoutError, Retryable, asyncio.CancelledError):
            return False  # its replica died: accepted or not, nobody knows
        return True

    async def delete(self, uuid: str) -> bool:
        lookup = self.replicas[self.chance.choice(["one", "two"])].lookup
        if lookup is None:
            return False
        try:
            async with asyncio.timeout(60):
                return not (await lookup.delete(uuid)).failed
        except (TimeoutError, Retryable, asyncio.CancelledError):
            return False

    async def settle(self) -> None:
        """Everything goes well now: wait until nothing is left to do."""
        store = self.site.server.store
        async with asyncio.timeout(100_000):
            while any(store.list(n).waiting or store.list(n).pending for n in ("in", "next")):
                await asyncio.sleep(1)

    def count(self) -> None:
        out = Counter(entry.uuid for entry in self.site.server.store.list("out").waiting.values())
        dead = {held.letter.uuid: held.letter for held in self.letters()}
        assert self.accepted == set(self.posts)
        for uuid in self.accepted - self.deleted:
            assert out[uuid] + (uuid in dead) >= 1, "lost"
            # A post whose answer was lost, and nothing else, makes a second entry.
            assert out[uuid] <= self.posts[uuid]
            if out[uuid]:
                self.check_stored(uuid)
        for uuid, letter in dead.items():
            assert letter.error
            assert letter.error_type
            assert letter.stage == "crash" or uuid not in self.site.killers
            assert uuid not in self.site.poison or "poison" in letter.error
        assert self.site.poison | self.site.killers <= dead.keys() | self.deleted
        for uuid in self.deleted:
            assert self.site.server.store.vcons.documents.get(uuid) is None
            assert all(uuid not in storage.vcons for storage in self.site.storages.values())

    def letters(self) -> list[Buried]:
        store = self.site.server.store
        return [held for name in ("in", "next") for held in store.dead_list(name).letters.values()]

    def check_stored(self, uuid: str) -> None:
        revs = set()
        for storage in self.site.storages.values():
            stored = storage.vcons[uuid]
            assert {"a:x", "b:x", "c:x"} <= set(Vcon(stored.document).tags)
            revs.add(stored.rev)
        assert len(revs) == 1


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_vcon_ends_well_or_with_a_reason(seed: int) -> None:
    async def main() -> None:
        await Simulation(seed).run()

    run_jumping(main())


@pytest.mark.parametrize("seed", range(SEEDS // 2))
def test_an_outage_makes_no_dead_letters(seed: int) -> None:
    """Nothing is wrong but that one storage is away, while replicas come and go."""

    async def main() -> None:
        simulation = Simulation(seed, poison=False)
        simulation.site.calm_down()
        simulation.site.storages["left"].away_until = 550.0
        await simulation.run()
        assert [it.letter for it in simulation.letters() if it.letter.stage != "crash"] == []

    run_jumping(main())
