"""Storages that got different revisions: when Redis has let a vCon go, the last one is read."""

import asyncio

import pytest
from pipeline_support import Site, site, step, unit, vcon

from vconflow.errors import Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.fanout import StorageUnit
from vconflow.pipeline.lookup import OutOfReach
from vconflow.testing.memory_storage import MemoryStorage

OLD, NEW = Chain("one", (), ("old",), ("in",)), Chain("two", (), ("new",), ("more",))


@pytest.fixture
def units() -> dict[str, StorageUnit]:
    """The storage with older revisions is the first that would be asked."""
    return {name: unit(name, MemoryStorage()) for name in ("old", "new")}


async def gone(it: Site, uuid: str) -> None:
    """Wait until Redis has let the document go."""
    async with asyncio.timeout(30):
        while await it.backend.connections.commands.execute_command("EXISTS", f"vcon:{uuid}"):
            await asyncio.sleep(0.02)


async def subject(it: Site, uuid: str) -> object:
    return Vcon(await it.lookup.get(uuid) or b"{}").subject


async def stored_twice(it: Site) -> str:
    """A vCon of which each storage has got another revision; its uuid, when Redis has none."""
    (uuid,) = await it.submit(vcon(subject="first"))
    await it.settled()
    await it.submit(vcon(uuid, subject="second"), to="more")
    await it.settled("more")
    await gone(it, uuid)
    return uuid


async def test_the_last_revision_comes_back(valkey_url: str, units: dict[str, StorageUnit]) -> None:
    async with site(valkey_url, OLD, NEW, storages=units, document_ttl=1) as it:
        uuid = await stored_twice(it)
        assert await subject(it, uuid) == "second"
        # And goes through the chain once more.
        await it.ingest.enqueue([uuid], "more")
        await it.settled("more")
        assert Vcon(it.memory["new"].vcons[uuid].document).subject == "second"


async def test_chains_that_feed_each_other(valkey_url: str, units: dict[str, StorageUnit]) -> None:
    one = Chain("one", (step("a"),), ("old",), ("in",), egress=("next",))
    two = Chain("two", (step("b"),), ("new",), ("next",))
    async with site(valkey_url, one, two, storages=units, document_ttl=1) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled("in", "next")
        await gone(it, uuid)
        assert Vcon(await it.lookup.get(uuid) or b"{}").tags == ["a:a", "b:b"]


async def test_no_older_one_while_its_storage_is_away(
    valkey_url: str, units: dict[str, StorageUnit]
) -> None:
    async with site(valkey_url, OLD, NEW, storages=units, document_ttl=1) as it:
        uuid = await stored_twice(it)
        it.memory["new"].fail_with = Retryable("503")
        with pytest.raises(OutOfReach, match="cannot be read now: new"):
            await it.lookup.get(uuid)
        it.memory["new"].fail_with = None
        assert await subject(it, uuid) == "second"


async def test_the_others_are_asked_when_it_has_left_the_configuration(
    valkey_url: str, units: dict[str, StorageUnit]
) -> None:
    async with site(valkey_url, OLD, NEW, storages=units, document_ttl=1) as it:
        uuid = await stored_twice(it)
    del units["new"]
    async with site(valkey_url, OLD, storages=units, name="later") as it:
        assert await subject(it, uuid) == "first"
