"""What every backend has to do with what could not be processed."""

import msgspec

from vconflow.model.validation import validate
from vconflow.ports.dead_letters import Extent
from vconflow.ports.documents import Search
from vconflow.ports.ledger import Finish, Progress, Target, Verdict
from vconflow.testing.contracts.backend_support import (
    FAR,
    Backend,
    BackendFixtures,
    BackendServer,
    accept,
    acceptance,
    begun,
    buried,
    commit,
    commit_of,
    dead,
    document_of,
    fill,
    finish,
    read,
    read_as,
    vcon,
)

__all__ = ["DeadLetterContract"]


class DeadLetterContract(BackendFixtures):
    """`DeadLetters`, and the `Bury` of the ledger."""

    async def test_burying_moves_the_entry_with_its_reason(self, one: Backend) -> None:
        entry, found = await begun(one)
        progress = Progress(next_link="webhook", storages=("s",), attempts=5, first_failure=1000)
        item = commit_of(entry, found, then=buried(progress))
        assert (await commit(one, item)).verdict is Verdict.DONE

        (letter,) = await dead(one)
        assert (letter.list, letter.uuid, letter.chain) == ("in", entry.uuid, "main")
        assert (letter.stage, letter.error_type) == ("link:webhook", "Permanent")
        assert (letter.error, letter.at, letter.origin) == ("refused: ünïcode", entry.at, "http")
        assert letter.traceback == "line 1"
        assert (letter.attempts, letter.first_failure) == (5, 1000)
        assert (letter.next_link, letter.storages) == ("", ("s",))
        assert letter.progress == Progress(next_link="webhook", storages=("s",))
        depth = (await one.stream.depth(["in"]))["in"]
        assert (depth.waiting, depth.pending, depth.dead) == (0, 0, 1)

    async def test_lists_with_dead_letters_are_known_by_themselves(self, one: Backend) -> None:
        assert await one.dead_letters.lists() == set()
        entry, found = await begun(one)
        await fill(one, "other", 1)
        assert await one.dead_letters.lists() == set()
        await commit(one, commit_of(entry, found, then=buried()))
        assert await one.dead_letters.lists() == {"in"}

    async def test_a_replay_goes_on_where_it_stopped(self, one: Backend) -> None:
        entry, found = await begun(one)
        progress = Progress(next_link="webhook", attempts=5, crashes=2, first_failure=1, due=7)
        await commit(one, commit_of(entry, found, then=buried(progress)))
        (letter,) = await dead(one)

        assert await one.dead_letters.replay("in", [letter.id, "1-1"]) == 1
        assert await dead(one) == []
        (again,) = await read(one, "in")
        assert (again.uuid, again.origin, again.counted) == (entry.uuid, "replay", "open")
        assert b'"next_link":"webhook"' in again.progress
        (resumed,) = await one.stream.recover("in", "", 10)
        assert resumed.progress == Progress(next_link="webhook", crashes=1, parked=("crash",))
        assert await one.dead_letters.replay("in", [letter.id]) == 0

    async def test_a_replay_from_the_start_forgets_how_far_it_came(self, one: Backend) -> None:
        entry, found = await begun(one)
        progress = Progress(storages=("s",), routes=("out",), stage="storage:s", attempts=5)
        await commit(one, commit_of(entry, found, then=buried(progress)))
        (letter,) = await dead(one)
        assert await one.dead_letters.replay("in", [letter.id, letter.id], from_start=True) == 1
        (again,) = await read(one, "in")
        assert (again.uuid, again.origin, again.progress) == (entry.uuid, "replay", b"")
        await finish(one, again, stored=("s",))
        depth = (await one.stream.depth(["in"]))["in"]
        assert (depth.waiting, depth.pending, depth.dead) == (0, 0, 0)

    async def test_letters_are_found_by_their_ids(self, one: Backend) -> None:
        await _bury_new(one, 3)
        first, second, third = await dead(one)
        found = await one.dead_letters.find("in", [third.id, "1-1", first.id])
        assert found == [third, first]
        assert await one.dead_letters.find("other", [third.id]) == []
        assert await one.dead_letters.find("in", []) == []
        between = await one.dead_letters.browse("in", after=first.id, until=second.id, count=9)
        assert between == [second]

    async def test_the_newest_come_first(self, one: Backend) -> None:
        await _bury_new(one, 3)
        first, second, third = await dead(one)
        assert await one.dead_letters.newest("in", 2) == [third, second]
        assert await one.dead_letters.newest("in", 9) == [third, second, first]
        assert await one.dead_letters.newest("other", 9) == []

    async def test_each_list_says_how_many_it_has_and_the_newest(self, one: Backend) -> None:
        await _bury_new(one, 3)
        *_, newest = await dead(one)
        assert await one.dead_letters.extents(["also", "in"]) == {"in": Extent(3, newest.id)}
        await one.dead_letters.drop("in", [newest.id])
        (_, newer) = await dead(one)
        assert await one.dead_letters.extents(["in"]) == {"in": Extent(2, newer.id)}
        assert await one.dead_letters.extents([]) == {}

    async def test_dropping_takes_documents_that_nothing_else_keeps(self, one: Backend) -> None:
        alone, shared, kept = await _bury_new(one, 3)
        await one.intake.accept([acceptance(vcon(shared), "also")])
        ids = {letter.uuid: letter.id for letter in await dead(one)}
        names = [ids[alone], ids[shared], ids[shared], "1-1"]
        assert await one.dead_letters.drop("in", names) == 2
        assert await one.dead_letters.drop("in", names) == 0
        assert [letter.uuid for letter in await dead(one)] == [kept]
        held = [await document_of(one, uuid) is not None for uuid in (alone, shared, kept)]
        assert held == [False, True, True]

    async def test_dead_letters_come_in_pages(self, one: Backend) -> None:
        uuids = await _bury_new(one, 5)
        first = await dead(one, 3)
        rest = await dead(one, 3, first[-1].id)
        assert self.ordered(letter.uuid for letter in first + rest) == self.ordered(uuids)
        assert await dead(one, 3, rest[-1].id) == []

    async def test_an_expired_dead_letter_takes_its_document_along(self, one: Backend) -> None:
        entry, found = await begun(one)
        await commit(one, commit_of(entry, found, then=buried()))
        (letter,) = await dead(one)
        assert await one.dead_letters.expire("in", letter.last_failure, 10) == 0
        assert await one.dead_letters.expire("in", FAR * 1000, 10) == 1
        assert await document_of(one, entry.uuid) is None
        assert await one.documents.search(Search(name="Ann")) == []
        assert await dead(one) == []

    async def test_an_expired_dead_letter_leaves_what_others_need(self, one: Backend) -> None:
        waiting, on_egress, _, through, _ = documents = [vcon() for _ in range(5)]
        for document in documents:
            await accept(one, document, "in", "also")
        for entry in await read(one, "in"):
            (found,) = await one.documents.fetch([entry.uuid])
            await commit(one, commit_of(entry, found, then=buried()))
        uuids = [validate(document).uuid for document in documents]
        _, second, third, fourth, fifth = await read_as(one, "also", uuids)
        await finish(one, third, stored=("s",), targets=(Target("out", False),))
        assert len(await one.egress.ack("out", await one.egress.lease("out", 1))) == 1
        await finish(one, second, stored=("s",), targets=(Target("out", False),))
        await finish(one, fourth)
        await finish(one, fifth, stored=("s",))

        assert await one.dead_letters.expire("in", FAR * 1000, 1) == 1
        assert await one.dead_letters.expire("in", FAR * 1000, 10) == 4
        # No storage has what merely went through: the copy here is the only one.
        held = [await document_of(one, uuid) for uuid in uuids]
        assert held == [waiting, on_egress, None, through, None]
        # What a storage has is still listed.
        listed = await one.documents.page(offset=0, limit=10, since=None, until=None)
        assert sorted(listed) == sorted(uuids)

    async def test_an_expired_dead_letter_leaves_what_another_chain_was_through_with(
        self, one: Backend
    ) -> None:
        """Also when the chain that failed had changed it before: that copy is the only one."""
        documents = [vcon(), vcon()]
        for document in documents:
            await accept(one, document, "in", "also")
        uuids = [validate(document).uuid for document in documents]
        for entry, stored in zip(await read_as(one, "also", uuids), ((), ("s",)), strict=True):
            await finish(one, entry, stored=stored)
        changed = [vcon(uuid, subject="changed") for uuid in uuids]
        for entry, document in zip(await read_as(one, "in", uuids), changed, strict=True):
            (found,) = await one.documents.fetch([entry.uuid])
            item = commit_of(entry, found, document=document, then=buried())
            assert (await commit(one, item)).verdict is Verdict.DONE

        assert await one.dead_letters.expire("in", FAR * 1000, 10) == 2
        assert [await document_of(one, uuid) for uuid in uuids] == changed
        listed = await one.documents.page(offset=0, limit=10, since=None, until=None)
        assert sorted(listed) == sorted(uuids)
        assert sorted(await one.documents.search(Search(name="Ann"))) == sorted(uuids)

    async def test_a_document_expires_when_the_dead_letter_that_kept_it_is_dropped(
        self, server: BackendServer
    ) -> None:
        async with server.replica("brief", document_ttl=1) as brief:
            await accept(brief, document := vcon(), "in", "also")
            (entry,) = await read(brief, "in")
            (found,) = await brief.documents.fetch([entry.uuid])
            await commit(brief, commit_of(entry, found, then=buried()))
            await accept(brief, document, "more")
            for name in ("also", "more"):
                (entry,) = await read(brief, name)
                await finish(brief, entry, stored=("s",))
            assert await brief.dead_letters.expire("in", FAR * 1000, 10) == 1
            assert await document_of(brief, entry.uuid) == document
            await server.let_pass(1.1)
            assert await document_of(brief, entry.uuid) is None

    async def test_an_expired_dead_letter_leaves_a_later_revision(self, one: Backend) -> None:
        entry, found = await begun(one)
        await commit(one, commit_of(entry, found, then=buried()))
        newer = vcon(entry.uuid, subject="newer")
        await accept(one, newer)
        assert await one.dead_letters.expire("in", FAR * 1000, 10) == 1
        assert await document_of(one, entry.uuid) == newer

    async def test_what_an_earlier_life_left_never_takes_a_document_from_a_later_one(
        self, one: Backend, server: BackendServer
    ) -> None:
        entry, found = await begun(one)
        await commit(one, commit_of(entry, found, then=buried()))
        pending, seen = await begun(one, vcon(entry.uuid))
        await one.documents.delete(entry.uuid, None)
        await server.let_pass(0.01)
        new = vcon(entry.uuid, subject="new life")
        await accept(one, new, "also")
        acked = commit_of(pending, seen, then=Finish(deleted=True))
        assert (await commit(one, acked)).verdict is Verdict.DONE
        assert await one.dead_letters.expire("in", FAR * 1000, 10) == 1
        # Accepted, not processed yet, and nowhere else.
        assert await document_of(one, entry.uuid) == new
        (now,) = await read(one, "also")
        (held,) = await one.documents.fetch([entry.uuid])
        await commit(one, commit_of(now, held, then=buried()))
        assert await one.dead_letters.expire("also", FAR * 1000, 10) == 1
        assert await document_of(one, entry.uuid) is None

    async def test_a_replayed_letter_of_an_earlier_life_takes_nothing_from_a_later_one(
        self, one: Backend, server: BackendServer
    ) -> None:
        entry, found = await begun(one)
        await commit(one, commit_of(entry, found, then=buried()))
        await one.documents.delete(entry.uuid, None)
        await server.let_pass(0.01)
        new = vcon(entry.uuid, subject="new life")
        await accept(one, new, "also")
        (letter,) = await dead(one)
        assert await one.dead_letters.replay("in", [letter.id]) == 1
        (again,) = await read(one, "in")
        (held,) = await one.documents.fetch([entry.uuid])
        await commit(one, commit_of(again, held, then=buried()))
        assert await one.dead_letters.expire("in", FAR * 1000, 10) == 1
        assert await document_of(one, entry.uuid) == new

    async def test_a_replayed_letter_of_an_earlier_life_keeps_the_document_it_finds(
        self, server: BackendServer
    ) -> None:
        async with server.replica("brief", document_ttl=1) as brief:
            document = vcon()
            entry, found = await begun(brief, document)
            await commit(brief, commit_of(entry, found, then=buried()))
            await brief.documents.delete(entry.uuid, None)
            await server.let_pass(0.01)
            again, found = await begun(brief, document)
            await finish(brief, again, stored=("s",))
            (letter,) = await dead(brief)
            assert await brief.dead_letters.replay("in", [letter.id]) == 1
            await server.let_pass(1.1)
            assert await document_of(brief, entry.uuid) == document

    async def test_a_document_expires_after_the_replay_that_only_removed_copies_of_an_earlier_life(
        self, server: BackendServer
    ) -> None:
        async with server.replica("brief", document_ttl=1) as brief:
            entry, found = await begun(brief)
            await brief.documents.delete(entry.uuid, None)
            bury = msgspec.structs.replace(buried(Progress(deleted=True)), even_deleted=True)
            assert (await commit(brief, commit_of(entry, found, then=bury))).verdict is Verdict.DONE
            await server.let_pass(0.01)
            again, _ = await begun(brief, vcon(entry.uuid))
            await finish(brief, again, stored=("s",))
            (letter,) = await dead(brief)
            assert await brief.dead_letters.replay("in", [letter.id]) == 1
            (replayed,) = await read(brief, "in")
            (found,) = await brief.documents.fetch([entry.uuid])
            acked = commit_of(replayed, found, then=Finish(deleted=True))
            assert (await commit(brief, acked)).verdict is Verdict.DONE
            assert await document_of(brief, entry.uuid) is not None
            await server.let_pass(1.1)
            assert await document_of(brief, entry.uuid) is None

    async def test_a_buried_egress_entry_holds_its_document_no_longer_than_others(
        self, one: Backend
    ) -> None:
        entry, found = await begun(one)
        then = Finish(targets=(Target("next", False),), stored=("s",))
        await commit(one, commit_of(entry, found, then=then))
        (passed,) = await read(one, "next")
        await commit(one, commit_of(passed, found, then=buried()))
        assert await one.dead_letters.expire("next", FAR * 1000, 10) == 1
        assert await document_of(one, entry.uuid) is None


async def _bury_new(backend: Backend, count: int) -> list[str]:
    """Bury new vCons of the list `in`; their uuids in order."""
    uuids = await fill(backend, "in", count)
    for entry in await read(backend, "in"):
        (found,) = await backend.documents.fetch([entry.uuid])
        await commit(backend, commit_of(entry, found, then=buried()))
    return uuids
