"""What every backend has to do with documents that a storage has."""

from vconflow.model.entry import Entry
from vconflow.model.validation import validate
from vconflow.ports.documents import Search
from vconflow.ports.intake import Enqueuing
from vconflow.ports.ledger import Finish, Target
from vconflow.testing.contracts.backend_support import (
    FAR,
    Backend,
    BackendFixtures,
    BackendServer,
    accept,
    begun,
    buried,
    commit,
    commit_of,
    document_of,
    finish,
    read,
    read_as,
    vcon,
)

__all__ = ["ExpiryContract"]


class ExpiryContract(BackendFixtures):
    """`Ledger` and `Documents`: what leaves, and what has to stay."""

    async def test_a_document_expires_once_it_is_stored_and_nothing_works_on_it(
        self, server: BackendServer
    ) -> None:
        async with server.replica("short", document_ttl=1) as backend:
            twice, unstored, _, dead_too = documents = [vcon() for _ in range(4)]
            for document in documents:
                await accept(backend, document, "in")
            uuids = [validate(document).uuid for document in documents]
            entries = await read_as(backend, "in", uuids)
            also = await self._put_on(backend, uuids[0], "also")
            dying = await self._put_on(backend, uuids[3], "also")
            (found,) = await backend.documents.fetch([dying.uuid])
            await commit(backend, commit_of(dying, found, then=buried()))
            for entry, stored in zip(entries, (("s",), (), ("s",), ("s",)), strict=True):
                await finish(backend, entry, stored=stored, targets=(Target("out", False),))

            await server.let_pass(1.1)
            held = [await document_of(backend, uuid) for uuid in uuids]
            assert held == [twice, unstored, None, dead_too]
            await finish(backend, also, stored=("s",))
            await server.let_pass(1.1)
            gone = await backend.documents.fetch([uuids[0], uuids[2]])
            # The storage has them: so they are still known.
            assert [(item.document, item.deleted) for item in gone] == [(None, False)] * 2
            assert [item.rev > 0 for item in gone] == [True, True]

    async def test_what_was_stored_last_is_told_also_when_the_document_is_gone(
        self, server: BackendServer
    ) -> None:
        async with server.replica("short", document_ttl=1) as backend:
            entry, _ = await begun(backend)
            uuid, documents = entry.uuid, backend.documents
            assert await documents.stored_at(uuid) == ()
            await finish(backend, entry, stored=("a", "b"))
            assert await documents.stored_at(uuid) == ("a", "b")
            await finish(backend, await self._put_on(backend, uuid, "in"), stored=("b",))
            await server.let_pass(1.1)
            assert await document_of(backend, uuid) is None
            assert await documents.stored_at(uuid) == ("b",)
            await documents.delete(uuid, None)
            assert await documents.stored_at(uuid) == ()

    async def test_another_vcon_that_a_link_went_on_with_expires_when_it_is_stored(
        self, server: BackendServer
    ) -> None:
        async with server.replica("short", document_ttl=1) as backend:
            ways = [(), ("s",)] * 5  # on several shards
            others = [vcon() for _ in ways]
            for other, stored in zip(others, ways, strict=True):
                entry, _ = await begun(backend)
                await accept(backend, other)
                (found,) = await backend.documents.fetch([validate(other).uuid])
                then = Finish(stored=stored)
                await commit(backend, commit_of(entry, found, uuid=validate(other).uuid, then=then))
            await server.let_pass(1.1)
            uuids = [validate(other).uuid for other in others]
            assert [await backend.documents.stored_at(uuid) for uuid in uuids] == ways
            kept = [None if stored else other for other, stored in zip(others, ways, strict=True)]
            assert [await document_of(backend, uuid) for uuid in uuids] == kept

    async def test_a_document_that_is_about_to_expire_is_kept_for_a_list(
        self, server: BackendServer
    ) -> None:
        async with server.replica("short", document_ttl=1) as backend:
            entry, found = await begun(backend)
            await finish(backend, entry, stored=("s",))
            again = await self._put_on(backend, entry.uuid, "in")
            await server.let_pass(1.1)
            assert await document_of(backend, entry.uuid) == found.document
            await finish(backend, again, stored=("s",))
            await server.let_pass(1.1)
            assert await document_of(backend, entry.uuid) is None

    async def test_a_document_expires_once_a_client_has_fetched_what_a_list_kept_it_for(
        self, server: BackendServer
    ) -> None:
        """No chain reads that list any more."""
        async with server.replica("short", document_ttl=1) as backend:
            entry, found = await begun(backend)
            await finish(backend, entry, stored=("s",))
            await backend.intake.enqueue(Enqueuing([entry.uuid], "gone"))
            (lent,) = await backend.egress.lease("gone", 1, 100 * server.lease)
            await server.let_pass(1.1)
            assert await document_of(backend, entry.uuid) == found.document
            assert await backend.egress.ack("gone", [lent]) == [lent.lease_id]
            await server.let_pass(1.1)
            assert await document_of(backend, entry.uuid) is None

    async def test_only_what_is_nowhere_any_more_is_forgotten(self, server: BackendServer) -> None:
        async with server.replica("short", document_ttl=1) as backend:
            expired, kept = (await begun(backend))[0], (await begun(backend))[0]
            await finish(backend, expired, stored=("s",))
            await finish(backend, kept)
            await server.let_pass(1.1)
            search, page = Search(name="Ann"), {"since": None, "until": None}
            both = sorted([expired.uuid, kept.uuid])
            assert sorted(await backend.documents.search(search)) == both
            for uuid in both:
                await backend.documents.forget(uuid)
            assert await backend.documents.search(search) == [kept.uuid]
            assert await backend.documents.page(offset=0, limit=9, **page) == [kept.uuid]

    async def test_expire_asked_for_by_a_link_forgets_the_vcon(
        self, one: Backend, server: BackendServer
    ) -> None:
        entry, _ = await begun(one)
        await finish(one, entry, expire_seconds=0)
        await server.let_pass(0.01)
        assert await document_of(one, entry.uuid) is None
        assert await one.documents.sweep(FAR) == 1
        assert await one.documents.sweep(FAR) == 0
        assert await one.documents.page(offset=0, limit=10, since=None, until=None) == []
        assert await one.documents.search(Search(name="Ann")) == []

    async def test_what_was_accepted_again_does_not_expire(
        self, one: Backend, server: BackendServer
    ) -> None:
        entry, found = await begun(one)
        await finish(one, entry, expire_seconds=1)
        assert found.document is not None
        again, _ = await begun(one, found.document)
        assert await one.documents.sweep(FAR) == 0
        await finish(one, again)
        await server.let_pass(1.1)
        assert await document_of(one, entry.uuid) == found.document

    @staticmethod
    async def _put_on(backend: Backend, uuid: str, list_name: str) -> Entry:
        assert (await backend.intake.enqueue(Enqueuing([uuid], list_name))).found == [True]
        (entry,) = await read(backend, list_name)
        return entry
