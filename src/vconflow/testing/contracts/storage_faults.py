"""What every storage has to do when its server is away, and with a vCon that is refused."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from vconflow.errors import PartialFailure, Permanent, Refused, Retryable, Unavailable
from vconflow.model.entry import StoredVcon
from vconflow.model.identifiers import new_uuid
from vconflow.ports.storage import ReadableStorage, Storage, is_readable
from vconflow.testing.contracts.storage import stored

__all__ = ["SECRET", "Holds", "Outage", "Refusal", "StorageFaultsContract", "reading"]

SECRET = "secret"
"""What a refused vCon may hold; no error may."""

_PATIENCE = 60.0
"""Seconds: drivers look for a server again now and then only."""

Holds = Callable[[StoredVcon], Awaitable[bool]]
"""Whether a storage, or whoever it gives them to, has this very revision of a vCon."""


@dataclass(frozen=True)
class Outage:
    """An open storage whose server is there, and how to take it away and bring it back."""

    storage: Storage
    begin: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]]
    holds: Holds


@dataclass(frozen=True)
class Refusal:
    """An open storage, and a vCon that it, or its server, will never take."""

    storage: Storage
    vcon: StoredVcon
    holds: Holds


def reading(storage: ReadableStorage) -> Holds:
    """Tell by reading it back."""

    async def holds(vcon: StoredVcon) -> bool:
        return await storage.get(vcon.uuid) == vcon.document

    return holds


class StorageFaultsContract:
    """Subclass it beside `StorageContract`, and override the fixtures `outage` and `refusal`.

    Set `asks` to False for a storage whose `ping` and `delete` have nobody to ask.
    """

    pytestmark = pytest.mark.asyncio
    asks: ClassVar[bool] = True

    @pytest.fixture
    async def outage(self) -> Outage:
        raise NotImplementedError("override the fixture `outage`")

    @pytest.fixture
    async def refusal(self) -> Refusal:
        raise NotImplementedError("override the fixture `refusal`")

    async def test_an_outage_is_said_by_every_call_and_ends(self, outage: Outage) -> None:
        storage, before = outage.storage, _batch()
        await storage.put(before)
        after = [_one(vcon.uuid, rev=2) for vcon in before]
        await outage.begin()
        assert await _refused_for_now(storage, after) == {vcon.uuid for vcon in after}
        if self.asks:
            await _is_an_outage(storage.ping())
            await _is_an_outage(storage.delete(before[0].uuid))
        if is_readable(storage):
            await _is_an_outage(storage.get(before[0].uuid))
        await outage.end()
        await _put_at_last(storage, after)
        for vcon in after:
            assert await _at_last(outage.holds, vcon)
        await storage.ping()

    async def test_an_outage_among_batches_leaves_nothing_half_done(self, outage: Outage) -> None:
        """What was not refused is there; what was is taken when it comes again."""
        storage, batches = outage.storage, [_batch() for _ in range(8)]
        await storage.put(batches[0])

        async def begin() -> set[str]:
            await outage.begin()
            return set()

        refused: set[str] = set()
        puts = [_refused_for_now(storage, batch) for batch in batches]
        for uuids in await asyncio.gather(*puts[:4], begin(), *puts[4:]):
            refused |= uuids
        await outage.end()
        everything = [vcon for batch in batches for vcon in batch]
        await _put_at_last(storage, [vcon for vcon in everything if vcon.uuid in refused])
        for vcon in everything:
            assert await _at_last(outage.holds, vcon)

    async def test_a_refused_vcon_is_named_and_fails_alone(self, refusal: Refusal) -> None:
        storage, bad, good = refusal.storage, refusal.vcon, _batch(20)
        for _ in range(2):  # the second time the others are there
            with pytest.raises(PartialFailure) as caught:
                await storage.put([*good[:10], bad, *good[10:]])
            assert list(caught.value.failures) == [bad.uuid]
            failure = caught.value.failures[bad.uuid]
            assert isinstance(failure, Permanent | Refused)
            assert SECRET not in f"{failure!r} {failure}"
        for vcon in good:
            assert await refusal.holds(vcon)
        assert not await refusal.holds(bad)


def _batch(size: int = 3) -> list[StoredVcon]:
    return [_one(new_uuid("contract"), rev=1) for _ in range(size)]


def _one(uuid: str, *, rev: int) -> StoredVcon:
    # With a text of its own: an index of texts has nothing of a vCon without any.
    return stored(uuid, rev=rev, members=f',"subject":"kept, {rev}, {uuid}"')


async def _refused_for_now(storage: Storage, vcons: Sequence[StoredVcon]) -> set[str]:
    """Put a batch of which all, some or none may be taken; the uuids of those that were not."""
    try:
        await storage.put(vcons)
    except PartialFailure as error:
        failures: Sequence[Exception] = list(error.failures.values())
        refused = set(error.failures)
    except Retryable as error:
        failures, refused = [error], {vcon.uuid for vcon in vcons}
    else:
        return set()
    for failure in failures:
        _assert_is_outage(failure)
    return refused


async def _put_at_last(storage: Storage, vcons: Sequence[StoredVcon]) -> None:
    """Again and again, as the engine does."""
    async with asyncio.timeout(_PATIENCE):
        while vcons:
            refused = await _refused_for_now(storage, vcons)
            vcons = [vcon for vcon in vcons if vcon.uuid in refused]
            await asyncio.sleep(0.05 if vcons else 0)


async def _at_last(holds: Holds, vcon: StoredVcon) -> bool:
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                return await holds(vcon)
            except Retryable:
                await asyncio.sleep(0.05)


async def _is_an_outage(call: Awaitable[object]) -> None:
    with pytest.raises(Retryable) as caught:
        await call
    _assert_is_outage(caught.value)


def _assert_is_outage(failure: Exception) -> None:
    assert isinstance(failure, Retryable)
    # That would say that the Redis on which everything runs is away.
    assert not isinstance(failure, Unavailable)
