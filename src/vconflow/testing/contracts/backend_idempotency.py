"""What every backend has to do with requests that come twice, and with vCons of somebody else."""

import asyncio
from typing import Any

import msgspec
import pytest

from vconflow.errors import Conflict, RevisionMismatch
from vconflow.model.validation import validate
from vconflow.ports.intake import (
    Acceptance,
    Enqueued,
    Enqueuing,
    Idempotency,
    Ownership,
    Receipt,
)
from vconflow.testing.contracts.backend_support import (
    Backend,
    BackendFixtures,
    accept,
    acceptance,
    begun,
    document_of,
    finish,
    read,
    vcon,
)

__all__ = ["IdempotencyContract", "OwnershipContract"]

REQUEST = Idempotency("digest-of-key", "0" * 32)
OTHER_BODY = Idempotency("digest-of-key", "1" * 32)


def asked(document: bytes, *lists: str, by: Idempotency = REQUEST, **values: Any) -> Acceptance:
    """An acceptance with an idempotency key."""
    return msgspec.structs.replace(acceptance(document, *lists), idempotency=by, **values)


async def one_result(backend: Backend, item: Acceptance) -> Receipt | Exception:
    (result,) = await backend.intake.accept([item])
    return result


class IdempotencyContract(BackendFixtures):
    """`Acceptance.idempotency` and `Enqueuing.idempotency`."""

    async def test_the_same_request_again_gets_the_first_answer(
        self, one: Backend, two: Backend
    ) -> None:
        document = vcon()
        first = await one_result(one, asked(document, "in", "other"))
        assert isinstance(first, Receipt)
        assert not first.repeated
        again = await one_result(two, asked(document, "in", "other"))
        assert again == Receipt(first.rev, repeated=True)
        assert len(await read(one, "in", "other")) == 2

    async def test_another_request_under_the_key_is_refused(self, one: Backend) -> None:
        document, other = vcon(), vcon()
        await one_result(one, asked(document, "in"))
        refused = await one_result(one, asked(other, "in", by=OTHER_BODY))
        assert isinstance(refused, Conflict)
        assert await document_of(one, validate(other).uuid) is None
        assert len(await read(one, "in")) == 1

    async def test_twice_in_one_batch_is_once(self, one: Backend) -> None:
        item = asked(vcon(), "in")
        first, second = await one.intake.accept([item, item])
        assert isinstance(first, Receipt)
        assert second == Receipt(first.rev, repeated=True)
        assert len(await read(one, "in")) == 1

    async def test_two_replicas_at_the_same_time_are_one(self, one: Backend, two: Backend) -> None:
        items = [asked(vcon(), "in", by=Idempotency(f"{n}", "0" * 32)) for n in range(8)]
        await asyncio.gather(one.intake.accept(items), two.intake.accept(items))
        assert len(await read(one, "in", count=100)) == 8

    async def test_a_repetition_undoes_nothing_that_came_since(self, one: Backend) -> None:
        document = vcon()
        facts = validate(document)
        await one_result(one, asked(document, "in"))
        newer = vcon(facts.uuid, subject="newer")
        await accept(one, newer)
        assert isinstance(await one_result(one, asked(document, "in")), Receipt)
        assert await document_of(one, facts.uuid) == newer
        await one.documents.delete(facts.uuid, facts)
        assert isinstance(await one_result(one, asked(document, "in")), Receipt)
        assert await document_of(one, facts.uuid) is None
        assert len(await read(one, "in")) == 1

    async def test_what_was_refused_is_not_remembered(self, one: Backend) -> None:
        document = vcon()
        first = await accept(one, document)
        item = asked(vcon(validate(document).uuid, subject="x"), expect_rev=first.rev + 1)
        assert isinstance(await one_result(one, item), RevisionMismatch)
        fresh = msgspec.structs.replace(item, expect_rev=first.rev)
        result = await one_result(one, fresh)
        assert isinstance(result, Receipt)
        assert not result.repeated

    async def test_enqueuing_again_enqueues_nothing(self, one: Backend, two: Backend) -> None:
        documents = [vcon(), vcon()]
        uuids = [validate(document).uuid for document in documents]
        for document in documents:
            await accept(one, document)
        order = Enqueuing(uuids, "in", idempotency=REQUEST, final=False)
        assert await one.intake.enqueue(order) == Enqueued([True, True])
        assert await two.intake.enqueue(order) == Enqueued([True, True], repeated=True)
        read_now = [entry.uuid for entry in await read(one, "in")]
        assert self.ordered(read_now) == self.ordered(uuids)
        with pytest.raises(Conflict):
            await one.intake.enqueue(msgspec.structs.replace(order, idempotency=OTHER_BODY))

    async def test_enqueuing_goes_on_with_what_was_missing(self, one: Backend) -> None:
        here, late, never = vcon(), vcon(), vcon()
        uuids = [validate(document).uuid for document in (here, late, never)]
        await accept(one, here)
        order = Enqueuing(uuids, "in", idempotency=REQUEST, final=False)
        assert await one.intake.enqueue(order) == Enqueued([True, False, False])
        await accept(one, late)
        final = msgspec.structs.replace(order, final=True)
        assert await one.intake.enqueue(final) == Enqueued([True, True, False])
        read_now = [entry.uuid for entry in await read(one, "in")]
        assert self.ordered(read_now) == self.ordered(uuids[:2])
        await accept(one, never)
        assert await one.intake.enqueue(order) == Enqueued([True, True, False], repeated=True)
        assert await read(one, "in") == []

    async def test_what_was_done_is_known_without_asking_for_it_again(
        self, one: Backend, two: Backend
    ) -> None:
        assert await one.intake.recall(REQUEST) is None
        first = await one_result(one, asked(vcon()))
        assert isinstance(first, Receipt)
        assert await two.intake.recall(REQUEST) == Receipt(first.rev, repeated=True)
        assert await two.intake.recall(OTHER_BODY) is None

    async def test_what_was_enqueued_is_known_once_it_was_final(self, one: Backend) -> None:
        here, never = vcon(), vcon()
        await accept(one, here)
        uuids = [validate(document).uuid for document in (here, never)]
        order = Enqueuing(uuids, "in", idempotency=REQUEST, final=False)
        await one.intake.enqueue(order)
        assert await one.intake.recall_enqueued(REQUEST) is None
        await one.intake.enqueue(msgspec.structs.replace(order, final=True))
        before = await one.intake.recall_enqueued(REQUEST)
        assert before == Enqueued([True, False], repeated=True)
        assert await one.intake.recall_enqueued(OTHER_BODY) is None

    async def test_a_key_belongs_to_one_kind_of_request(self, one: Backend) -> None:
        document = vcon()
        await one_result(one, asked(document))
        with pytest.raises(Conflict):
            await one.intake.enqueue(
                Enqueuing([validate(document).uuid], "in", idempotency=OTHER_BODY)
            )


def owned(
    document: bytes, owner: str, ownership: Ownership = Ownership.EXCLUSIVE, *lists: str
) -> Acceptance:
    """An acceptance by an owner."""
    return msgspec.structs.replace(acceptance(document, *lists), owner=owner, ownership=ownership)


class OwnershipContract(BackendFixtures):
    """`Acceptance.ownership`."""

    async def assert_refused(self, backend: Backend, document: bytes, owner: str) -> None:
        """Nothing of it is written."""
        uuid = validate(document).uuid
        before = await backend.documents.fetch([uuid])
        refused = await one_result(backend, owned(document, owner, Ownership.EXCLUSIVE, "in"))
        assert isinstance(refused, Conflict)
        assert await backend.documents.fetch([uuid]) == before
        assert await read(backend, "in") == []

    async def test_the_owner_may_write_again_and_nobody_else(self, one: Backend) -> None:
        document = vcon()
        newer = vcon(validate(document).uuid, subject="newer")
        assert isinstance(await one_result(one, owned(document, "a")), Receipt)
        assert isinstance(await one_result(one, owned(newer, "a")), Receipt)
        await self.assert_refused(one, document, "b")

    async def test_a_vcon_of_the_main_key_is_not_a_partners(self, one: Backend) -> None:
        document = vcon()
        await one_result(one, owned(document, "main", Ownership.TAKE))
        await self.assert_refused(one, document, "a")

    async def test_the_main_key_takes_it_from_the_partner(self, one: Backend) -> None:
        document = vcon()
        await one_result(one, owned(document, "a"))
        assert isinstance(await one_result(one, owned(document, "main", Ownership.TAKE)), Receipt)
        await self.assert_refused(one, document, "a")

    async def test_a_link_that_writes_leaves_the_owner(self, one: Backend) -> None:
        document = vcon()
        await one_result(one, owned(document, "a"))
        await one_result(one, owned(document, "", Ownership.KEEP))
        await self.assert_refused(one, document, "b")
        assert isinstance(await one_result(one, owned(document, "a")), Receipt)

    async def test_a_vcon_that_a_chain_wrote_keeps_its_owner(self, one: Backend) -> None:
        document = vcon()
        await one_result(one, owned(document, "a", Ownership.EXCLUSIVE, "in"))
        (entry,) = await read(one, "in")
        await finish(one, entry)
        await self.assert_refused(one, document, "b")

    async def test_a_deleted_vcon_is_anybodys(self, one: Backend) -> None:
        document = vcon()
        await one_result(one, owned(document, "a"))
        await one.documents.delete(validate(document).uuid, validate(document))
        assert isinstance(await one_result(one, owned(document, "b")), Receipt)
        await self.assert_refused(one, document, "a")

    async def test_one_batch_knows_the_owner_that_it_made(self, one: Backend) -> None:
        document = vcon()
        first, second = await one.intake.accept([owned(document, "a"), owned(document, "b")])
        assert isinstance(first, Receipt)
        assert isinstance(second, Conflict)

    async def test_a_revision_that_was_expected_still_counts(self, one: Backend) -> None:
        entry, found = await begun(one)
        item = msgspec.structs.replace(owned(found.document or b"", ""), expect_rev=found.rev + 1)
        assert isinstance(await one_result(one, item), RevisionMismatch)
        assert entry.uuid == item.facts.uuid
