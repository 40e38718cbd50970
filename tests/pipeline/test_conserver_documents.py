"""vCons that a conserver left in the same Redis, before they are migrated."""

import pytest
import redis
from pipeline_support import site, step, vcon

from vconflow.errors import Conflict
from vconflow.model.identifiers import new_uuid
from vconflow.pipeline.chain import Chain

CHAIN = Chain("main", (step("tag"),), lists=("in",))


@pytest.fixture
def left(valkey_url: str) -> str:
    """The uuid of one."""
    uuid = new_uuid()
    with redis.Redis.from_url(valkey_url) as client:
        client.set(f"vcon:{uuid}", vcon(uuid, subject="left"))
    return uuid


def open_entries(url: str, uuid: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.hget(f"vconflow:vcon:{uuid}", "open") or 0)


async def test_a_partner_does_not_overwrite_them(valkey_url: str, left: str) -> None:
    async with site(valkey_url, CHAIN) as one:
        with pytest.raises(Conflict):
            await one.ingest.accept(vcon(left), ("in",), owner="partner", exclusive=True)
        assert b"left" in (await one.lookup.get(left) or b"")


async def test_a_put_replaces_them(valkey_url: str, left: str) -> None:
    async with site(valkey_url, CHAIN) as one:
        await one.ingest.accept(newer := vcon(left), expect_uuid=left, expect_rev=0)
        assert await one.lookup.get(left) == newer
        with pytest.raises(Conflict):
            await one.ingest.accept(vcon(unknown := new_uuid()), expect_rev=0)
        assert await one.lookup.get(unknown) is None


@pytest.mark.parametrize("links", [(), (step("tag"),)], ids=["untouched", "changed"])
async def test_they_are_counted_until_their_entries_are_done(
    valkey_url: str, left: str, links: tuple[object, ...]
) -> None:
    async with site(valkey_url, Chain("main", links, lists=("in",)), start=False) as one:
        assert await one.ingest.enqueue([left], "in") == 0
        assert open_entries(valkey_url, left) == 1
        await one.replica.start()
        await one.settled()
        assert open_entries(valkey_url, left) == 0


async def test_what_replaces_them_is_counted_by_their_entries_too(
    valkey_url: str, left: str
) -> None:
    async with site(valkey_url, CHAIN, start=False) as one:
        await one.ingest.enqueue([left], "in")
        await one.ingest.accept(vcon(left), ("in",))
        assert open_entries(valkey_url, left) == 2
        await one.replica.start()
        await one.settled()
        assert open_entries(valkey_url, left) == 0
