"""What every backend has to do with what it accepts."""

import asyncio

from vconflow.errors import Conflict, RevisionMismatch
from vconflow.model.validation import validate
from vconflow.ports.documents import Search
from vconflow.ports.intake import Enqueued, Enqueuing, Receipt
from vconflow.testing.contracts.backend_support import (
    Backend,
    BackendFixtures,
    BackendServer,
    accept,
    acceptance,
    read,
    vcon,
)

__all__ = ["IntakeContract"]


async def listed(backend: Backend) -> list[str]:
    return await backend.documents.page(offset=0, limit=100, since=None, until=None)


class IntakeContract(BackendFixtures):
    """`Intake` and `Documents`."""

    async def test_accepting_stores_document_listing_index_and_entries(self, one: Backend) -> None:
        document = vcon()
        uuid = validate(document).uuid
        receipt = await accept(one, document, "in", "other")

        (found,) = await one.documents.fetch([uuid])
        assert (found.document, found.rev, found.born) == (document, receipt.rev, receipt.rev)
        assert await listed(one) == [uuid]
        assert await one.documents.search(Search(tel="+15550100", name="Ann")) == [uuid]
        for name in ("in", "other"):
            (entry,) = await read(one, name)
            assert (entry.list, entry.uuid, entry.counted) == (name, uuid, "open")
            assert entry.origin == "http"

    async def test_documents_come_in_the_order_asked_for(self, one: Backend) -> None:
        documents = [vcon() for _ in range(5)]
        for document in documents:
            await accept(one, document)
        uuids = [validate(document).uuid for document in documents]
        unknown = validate(vcon()).uuid
        found = await one.documents.fetch([*reversed(uuids), unknown, uuids[2]])
        assert [item.document for item in found] == [*reversed(documents), None, documents[2]]
        assert (found[5].rev, found[5].deleted) == (0, False)

    async def test_a_new_version_leaves_the_index_keys_of_the_old_one(self, one: Backend) -> None:
        first = vcon(tel="+15550100")
        uuid = validate(first).uuid
        old = await accept(one, first)
        new = await accept(one, vcon(uuid, tel="+15550199"))

        assert new.rev > old.rev
        assert (await one.documents.fetch([uuid]))[0].born == old.rev
        assert await one.documents.search(Search(tel="+15550100")) == []
        assert await one.documents.search(Search(tel="+15550199")) == [uuid]
        assert await one.documents.search(Search(mailto="ann@example.com")) == [uuid]

    async def test_the_last_of_a_batch_wins(self, one: Backend) -> None:
        first = vcon(tel="+15550111")
        uuid = validate(first).uuid
        second = vcon(uuid, tel="+15550122")
        results = await one.intake.accept([acceptance(first, "in"), acceptance(second, "in")])
        revs = [result.rev for result in results if isinstance(result, Receipt)]
        (found,) = await one.documents.fetch([uuid])
        assert (found.document, found.rev, found.born) == (second, revs[1], revs[0])
        assert revs[0] < revs[1]
        assert len(await read(one, "in")) == 2
        assert await one.documents.search(Search(tel="+15550111")) == []

    async def test_changes_in_a_batch_are_stored_in_their_order(self, one: Backend) -> None:
        """Also those that leave the index as it was, beside others that change it."""
        first = vcon(tel="+15550100")
        uuid = validate(first).uuid
        tels = [f"+1555010{number % 3}" for number in (*range(1, 40), 0, 0, 1, 0)]
        changes = [vcon(uuid, tel=tel, subject=str(n)) for n, tel in enumerate(tels)]
        beside = vcon(tel="+15550199")
        await accept(one, first)
        results = await one.intake.accept([acceptance(it, "in") for it in (*changes, beside)])
        revs = [result.rev for result in results[:-1] if isinstance(result, Receipt)]
        (found,) = await one.documents.fetch([uuid])

        assert len(revs) == len(changes)
        assert revs == sorted(revs)
        assert (found.document, found.rev) == (changes[-1], revs[-1])
        assert isinstance(results[-1], Receipt)
        assert await one.documents.search(Search(tel=tels[-1])) == [uuid]
        assert await one.documents.search(Search(tel="+15550101")) == []

    async def test_an_expected_revision_wins_or_loses_whole(self, one: Backend) -> None:
        document = vcon()
        uuid = validate(document).uuid
        receipt = await accept(one, document)
        changed = vcon(uuid, tel="+15550177")
        (done,) = await one.intake.accept([acceptance(changed, expect_rev=receipt.rev)])
        again = acceptance(document, "in", expect_rev=receipt.rev)
        lost, other = await one.intake.accept([again, acceptance(vcon(), "in")])

        assert isinstance(done, Receipt)
        assert isinstance(lost, RevisionMismatch)
        assert isinstance(other, Receipt)
        assert (await one.documents.fetch([uuid]))[0].document == changed
        assert await one.documents.search(Search(tel="+15550177")) == [uuid]
        assert uuid not in [entry.uuid for entry in await read(one, "in")]

    async def test_what_a_conserver_left_can_be_expected_too(
        self, one: Backend, server: BackendServer
    ) -> None:
        await server.leave(left := vcon())
        uuid = validate(left).uuid
        (found,) = await one.documents.fetch([uuid])
        assert (found.document, found.born) == (left, found.rev)
        changes = [acceptance(vcon(uuid, subject=it), expect_rev=found.rev) for it in "ab"]
        done, lost = await one.intake.accept(changes)
        assert isinstance(done, Receipt)
        assert isinstance(lost, RevisionMismatch)
        (now,) = await one.documents.fetch([uuid])
        assert (now.document, now.rev) == (changes[0].document, done.rev)

    async def test_concurrent_replacements_leave_one_index(
        self, one: Backend, two: Backend
    ) -> None:
        uuid = validate(vcon()).uuid
        tels = [f"+1555010{n}" for n in range(8)]
        await asyncio.gather(
            *(accept((one, two)[n % 2], vcon(uuid, tel=tel)) for n, tel in enumerate(tels))
        )
        found = [tel for tel in tels if await one.documents.search(Search(tel=tel))]
        (held,) = await one.documents.fetch([uuid])
        assert held.document is not None
        assert found == list(validate(held.document).tels)

    async def test_index_is_trimmed_on_write(self, server: BackendServer) -> None:
        async with server.replica("short", index_expiry=1) as backend:
            documents = [vcon() for _ in range(3)]
            for document in documents:
                await accept(backend, document)
                await server.let_pass(0.6)
            found = await backend.documents.search(Search(tel="+15550100"))
            # The keys never rested for long enough to expire as a whole.
            assert validate(documents[2]).uuid in found
            assert validate(documents[0]).uuid not in found

    async def test_every_term_of_a_search_must_match(self, one: Backend) -> None:
        both, other = vcon(tel="+15550111"), vcon(tel="+15550122")
        await accept(one, both)
        await accept(one, other)
        search = one.documents.search
        assert await search(Search(tel="+15550111", name="Ann")) == [validate(both).uuid]
        assert await search(Search(tel="+15550111", name="Bob")) == []
        assert sorted(await search(Search(name="Ann"))) == sorted(
            validate(document).uuid for document in (both, other)
        )

    async def test_pages_go_from_new_to_old_between_bounds(self, one: Backend) -> None:
        documents = [vcon(created_at=f"1970-01-01T00:00:0{second}Z") for second in (1, 3, 2)]
        for document in documents:
            await accept(one, document)
        first, third, second = (validate(document).uuid for document in documents)

        page = one.documents.page
        assert await listed(one) == [third, second, first]
        assert await page(offset=1, limit=1, since=None, until=None) == [second]
        assert await page(offset=0, limit=9, since=2.0, until=None) == [third, second]
        assert await page(offset=0, limit=9, since=None, until=2.0) == [second, first]
        assert await page(offset=0, limit=9, since=1.5, until=2.5) == [second]

    async def test_enqueue_skips_what_is_not_held(self, one: Backend) -> None:
        document = vcon()
        await accept(one, document)
        uuid = validate(document).uuid
        order = Enqueuing([uuid, validate(vcon()).uuid], "in", "bulk", trace="00-1-2-01")
        assert await one.intake.enqueue(order) == Enqueued([True, False])
        (entry,) = await read(one, "in")
        assert (entry.uuid, entry.origin, entry.counted) == (uuid, "bulk", "open")
        assert entry.trace == "00-1-2-01"

    async def test_deleting_leaves_a_tombstone_and_a_new_post_a_new_life(
        self, one: Backend
    ) -> None:
        document = vcon()
        facts = validate(document)
        first = await accept(one, document)
        assert await one.documents.delete(facts.uuid, facts)
        (gone,) = await one.documents.fetch([facts.uuid])
        assert (gone.document, gone.deleted) == (None, True)
        assert gone.rev > first.rev
        assert await one.documents.search(Search(tel="+15550100")) == []
        assert await listed(one) == []
        assert not await one.documents.delete(facts.uuid, facts)
        assert await one.intake.enqueue(Enqueuing([facts.uuid], "in")) == Enqueued([False])
        (gone,) = await one.documents.fetch([facts.uuid])
        (lost,) = await one.intake.accept([acceptance(document, expect_rev=gone.rev)])
        assert isinstance(lost, RevisionMismatch)
        (late,) = await one.intake.accept([acceptance(document, expect_rev=0)])
        assert isinstance(late, Conflict)
        assert not isinstance(late, RevisionMismatch)
        assert await listed(one) == []

        again = await accept(one, document)
        (back,) = await one.documents.fetch([facts.uuid])
        assert again.rev > gone.rev
        assert (back.born, back.deleted, back.document) == (again.rev, False, document)
        assert await listed(one) == [facts.uuid]

    async def test_deleting_what_is_unknown_says_so(self, one: Backend) -> None:
        assert not await one.documents.delete(validate(vcon()).uuid, None)

    async def test_recaching_never_beats_newer_bytes_or_a_tombstone(self, one: Backend) -> None:
        new, deleted, unknown = vcon(), vcon(), vcon()
        for document in (new, deleted):
            await accept(one, document)
        await one.documents.delete(validate(deleted).uuid, validate(deleted))
        for document in (vcon(validate(new).uuid, subject="old"), deleted, unknown):
            facts = validate(document)
            await one.documents.recache(facts.uuid, document)
        uuids = [validate(document).uuid for document in (new, deleted, unknown)]
        found = await one.documents.fetch(uuids)
        assert [item.document for item in found] == [new, None, unknown]
        assert found[2].rev == found[2].born > 0

    async def test_reindexing_changes_nothing_that_is_right(self, one: Backend) -> None:
        documents = [vcon(tel=f"+1555{n:04}") for n in range(5)]
        for document in documents:
            await accept(one, document)
        before = await one.documents.fetch([validate(document).uuid for document in documents])
        assert await one.documents.reindex() == 5
        uuids = [validate(document).uuid for document in documents]
        assert await one.documents.fetch(uuids) == before
        assert sorted(await listed(one)) == sorted(uuids)
        assert await one.documents.search(Search(tel="+15550003")) == [uuids[3]]
