"""The storage `milvus` when Milvus, or the provider of its embeddings, fails; and what is paid."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fault_support import killing
from milvus_support import LOCAL, letters, opened, rows_of, said

from vconflow.adapters.storages.milvus import MilvusStorage
from vconflow.errors import Retryable
from vconflow.model.entry import StoredVcon
from vconflow.testing import servers
from vconflow.testing.contracts import Outage, Refusal, StorageFaultsContract
from vconflow.testing.contracts.storage import stored
from vconflow.testing.contracts.storage_faults import SECRET, Holds
from vconflow.testing.providers import OpenAiServer, openai_server
from vconflow.testing.providers.openai_server import failure
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy
from vconflow.testing.webhook_receiver import Reply

KEY = "sk-right-key"
TEXTS = [f"Sentence {n} of this conversation is about topic {n * 7}." for n in range(40)]
CUTS = 6


@pytest.fixture
def openai() -> Iterator[OpenAiServer]:
    with openai_server(embed=letters, keys={KEY}) as server:
        yield server


@pytest.fixture
def paid(openai: OpenAiServer, tmp_path: Path) -> dict[str, Any]:
    return {
        "uri": str(tmp_path / "vectors.db"),
        "create_collection_if_missing": True,
        "embedding_dim": 64,
        "base_url": openai.base_url,
        "api_key": KEY,
    }


def _embedded(openai: OpenAiServer) -> list[list[str]]:
    """The texts of each call."""
    return [call.options["input"] for call in openai.calls]


async def test_a_batch_is_embedded_by_one_call(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path
) -> None:
    vcons = [said(f"Text {number}.") for number in range(64)]
    async with opened(tmp_path, **paid) as storage:
        await storage.put(vcons)
        assert _embedded(openai) == [[f"Text {number}." for number in range(64)]]
        assert openai.calls[0].model == "text-embedding-3-small"
        assert (await storage.search("Text 3.", 1))[0].score == pytest.approx(1, abs=1e-5)


async def test_what_is_there_is_not_paid_for_again(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path
) -> None:
    first = said(*TEXTS)
    async with opened(tmp_path, **paid) as storage:
        await storage.put([first])
        paid_once = _embedded(openai)
        await storage.put([first])  # redelivered
        await storage.put([said(*TEXTS, uuid=first.uuid, rev=2, attachments=[])])  # a tag, say
        assert _embedded(openai) == paid_once
        summary = {"type": "summary", "body": "They went through forty topics."}
        await storage.put([said(*TEXTS, uuid=first.uuid, rev=3, analysis=[summary])])
        assert _embedded(openai) == [*paid_once, ["They went through forty topics."]]
        rows = await storage._rows.of([first.uuid])
        assert {(row["rev"], row["has_summary"]) for row in rows} == {(3, True)}
        assert len(rows) == len(paid_once[0]) + 1
        hit = (await storage.search(rows[0]["text"], 1))[0]
        assert (hit.uuid, hit.score) == (first.uuid, pytest.approx(1, abs=1e-5))


@contextmanager
def faulty(fault: Reply, after: int) -> Iterator[OpenAiServer]:
    """A server that meets the call with its text number `after` well, and the next with a fault."""
    asked = 0

    def embed(text: str) -> list[float]:
        nonlocal asked
        asked += 1
        if asked == after:
            server.answer(fault)
        return letters(text)

    with openai_server(embed=embed, keys={KEY}) as server:
        yield server


@pytest.mark.parametrize("fault", [Reply(429), Reply(fault="hang")])
async def test_what_was_embedded_before_a_failure_is_not_paid_for_again(
    paid: dict[str, Any], tmp_path: Path, fault: Reply
) -> None:
    """A batch of several calls: the third is refused, or the engine's time is over in it."""
    vcons = [said(" ".join(f"{vcon}-{word}" for word in range(1200))) for vcon in range(64)]
    with faulty(fault, after=257) as server:  # which comes in the second call
        async with opened(tmp_path, **paid | {"base_url": server.base_url}) as storage:
            putting = asyncio.create_task(storage.put(vcons))
            await asyncio.to_thread(server.wait_for, 3)
            if fault.fault:
                putting.cancel()
            with pytest.raises((Retryable, asyncio.CancelledError)):
                await putting
            assert len(_embedded(server)) == 3
            server.release()
            await storage.put(vcons)
            times = Counter(text for texts in _embedded(server) for text in texts)
            # Only what the third call asked for came a second time.
            assert {text for text, count in times.items() if count > 1} == {*_embedded(server)[2]}
            assert times.most_common(1)[0][1] == 2
            for vcon in vcons:
                texts = [row["text"] for row in await storage._rows.of([vcon.uuid])]
                assert len(texts) == len(set(texts)) >= 9
                assert times.keys() >= set(texts)


async def test_a_failure_leaves_nothing_that_would_be_embedded_again(
    paid: dict[str, Any], tmp_path: Path
) -> None:
    """With `skip_if_exists: false` no row is known by its text: none may be left over."""
    vcon = said(" ".join(f"word-{number}" for number in range(50_000)))
    with faulty(Reply(429), after=1) as server:
        options = paid | {"base_url": server.base_url, "skip_if_exists": False}
        async with opened(tmp_path, **options) as storage:
            with pytest.raises(Retryable):
                await storage.put([vcon])
            assert len(server.calls) == 2
            await storage.put([vcon])
            texts = [row["text"] for row in await storage._rows.of([vcon.uuid])]
            assert len(texts) == len(set(texts)) > 256


async def test_no_more_calls_than_the_option_allows(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path
) -> None:
    async with opened(tmp_path, **paid, provider_concurrency=2) as storage:
        await storage.put([said("The collection is made.")])
        openai.seconds, openai.together = 0.1, 2
        await asyncio.gather(*(storage.search(f"Text {number}.", 1) for number in range(6)))
    assert openai.most_at_once == 2


async def test_another_model_embeds_anew(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path
) -> None:
    vcon = said("The same text.")
    async with opened(tmp_path, **paid) as storage:
        await storage.put([vcon])
    async with opened(tmp_path, **(paid | {"embedding_model": "other-model"})) as storage:
        await storage.put([vcon])
        assert [call.model for call in openai.calls] == ["text-embedding-3-small", "other-model"]
        assert len(await storage._rows.of([vcon.uuid])) == 1


async def test_without_skip_if_exists_everything_is_embedded_again(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path
) -> None:
    vcon = said("The same text.")
    async with opened(tmp_path, **(paid | {"skip_if_exists": False})) as storage:
        for _ in range(3):
            await storage.put([vcon])
        assert _embedded(openai) == [["The same text."]] * 3
        assert len(await storage._rows.of([vcon.uuid])) == 1
        await storage.put([said("Too late.", uuid=vcon.uuid, rev=0)])
        assert [row["text"] for row in await storage._rows.of([vcon.uuid])] == ["The same text."]


async def test_no_text_costs_nothing(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path
) -> None:
    async with opened(tmp_path, **paid) as storage:
        await storage.put([stored(), stored()])
        assert openai.calls == []


@pytest.mark.parametrize(
    "reply",
    [
        failure(429, "rate_limit_exceeded", "secret words", {"Retry-After": "17"}),
        failure(503, "overloaded", "secret words", {"Retry-After": "17"}),
        Reply(fault="reset"),
        Reply(fault="cut", body=b'{"object": "list", "data": ['),
    ],
    ids=["429", "503", "reset", "cut"],
)
async def test_a_provider_that_is_away_is_waited_for(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path, reply: Reply
) -> None:
    old = said("What was there before.")
    new = said("What is there now.", uuid=old.uuid, rev=2)
    async with opened(tmp_path, **paid) as storage:
        await storage.put([old])
        for call in (storage.put([new]), storage.search("x", 1)):
            openai.answer(reply)
            with pytest.raises(Retryable) as caught:
                await call
            assert caught.value.retry_after == (17 if reply.headers.get("Retry-After") else None)
            assert "secret" not in str(caught.value)
        assert [row["text"] for row in await storage._rows.of([old.uuid])] == [
            "What was there before."
        ]
        await storage.put([new])
        assert [row["text"] for row in await storage._rows.of([old.uuid])] == ["What is there now."]


async def test_a_refused_key_is_said_without_it_and_blames_no_vcon(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path
) -> None:
    async with opened(tmp_path, **(paid | {"api_key": "sk-wrong"})) as storage:
        with pytest.raises(Retryable, match="401") as caught:
            await storage.put([said("A text.")])
        assert "sk-wrong" not in str(caught.value)


async def test_vectors_of_another_length_blame_no_vcon(
    openai: OpenAiServer, paid: dict[str, Any], tmp_path: Path
) -> None:
    other = {"embedding_model": "text-of-old", "embedding_dim": 32}
    async with opened(tmp_path, **(paid | other)) as storage:
        with pytest.raises(Retryable, match="have 64 numbers, not 32"):
            await storage.put([said("A text.")])


# On a real server


class TestMilvusStorageFaults(StorageFaultsContract):
    @pytest.fixture
    async def outage(
        self, milvus_server: servers.MilvusServer, tmp_path: Path
    ) -> AsyncIterator[Outage]:
        async with opened(tmp_path, **_shared(milvus_server)) as storage:
            try:
                yield killing(milvus_server, storage, _holds(milvus_server))
            finally:
                if not milvus_server.is_running:
                    await milvus_server.start()

    @pytest.fixture
    async def refusal(
        self, milvus_server: servers.MilvusServer, tmp_path: Path
    ) -> AsyncIterator[Refusal]:
        """It is no document, so nobody knows what is said in it."""
        bad = StoredVcon("019d1000-0000-8000-8000-00000000000c", 1, SECRET.encode(), 0.0)
        async with opened(tmp_path, **_shared(milvus_server)) as storage:
            yield Refusal(storage, bad, _holds(milvus_server))


def _shared(server: servers.MilvusServer) -> dict[str, Any]:
    return LOCAL | {"uri": server.url, "collection_name": "shared"}


def _holds(server: servers.MilvusServer) -> Holds:
    async def holds(vcon: StoredVcon) -> bool:
        rows = await rows_of(server.url, [vcon.uuid], collection="shared", fields=["rev"])
        return [row["rev"] for row in rows] == [vcon.rev]

    return holds


@asynccontextmanager
async def _behind_a_proxy(
    server: servers.MilvusServer, folder: Path, **options: Any
) -> AsyncIterator[tuple[MilvusStorage, TcpProxy]]:
    async with tcp_proxy(f"127.0.0.1:{server.port}") as proxy:
        through = {"host": "127.0.0.1", "port": proxy.port, "collection_name": "shared"}
        async with opened(folder, **(LOCAL | through | options)) as storage:
            yield storage, proxy


def _batch() -> list[StoredVcon]:
    return [said(*TEXTS, uuid=stored().uuid) for _ in range(20)]


async def _count(server: servers.MilvusServer, vcons: list[StoredVcon]) -> dict[str, int]:
    rows = await rows_of(
        server.url, [v.uuid for v in vcons], collection="shared", fields=["vcon_uuid"]
    )
    uuids = [row["vcon_uuid"] for row in rows]
    return {uuid: uuids.count(uuid) for uuid in uuids}


async def _again(call: Any) -> Any:
    """Until it passes, as the engine does."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except Retryable:
                await asyncio.sleep(0.05)


async def _put_until_it_fails(storage: MilvusStorage) -> list[StoredVcon]:
    """Batches until the connection is cut, since what it carries besides varies; that batch."""
    for _ in range(10):
        vcons = _batch()
        try:
            await storage.put(vcons)
        except Retryable:
            return vcons
    raise AssertionError("nothing was cut")


@pytest.mark.parametrize("direction", Direction)
async def test_a_cut_in_the_middle_of_a_batch_is_repaired_by_the_next_try(
    milvus_server: servers.MilvusServer, tmp_path: Path, direction: Direction
) -> None:
    async with _behind_a_proxy(milvus_server, tmp_path) as (storage, proxy):
        await _again(storage.ping)
        before = proxy.passed(direction)
        whole = _batch()
        await storage.put(whole)
        size = proxy.passed(direction) - before
        passages = len(await storage._rows.of([whole[0].uuid]))
        for number in range(CUTS):
            await _again(storage.ping)
            proxy.cut_after(1 + (size - 1) * number // CUTS, direction)
            vcons = await _put_until_it_fails(storage)
            await _again(lambda vcons=vcons: storage.put(vcons))  # type: ignore[misc]
            assert await _count(milvus_server, vcons) == {v.uuid: passages for v in vcons}
            newer = [said("Nothing else is left.", uuid=v.uuid, rev=2) for v in vcons]
            await _again(lambda newer=newer: storage.put(newer))  # type: ignore[misc]
            assert await _count(milvus_server, vcons) == dict.fromkeys([v.uuid for v in vcons], 1)


async def test_a_server_that_does_not_answer_can_be_given_up(
    milvus_server: servers.MilvusServer, tmp_path: Path
) -> None:
    vcon = said("It waits for an answer.")
    async with _behind_a_proxy(milvus_server, tmp_path) as (storage, proxy):
        await storage.put([vcon])
        proxy.stall(Direction.REPLIES)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await storage.put([said("It waits longer.", uuid=vcon.uuid, rev=2)])
        proxy.restore()
        await _again(lambda: storage.put([said("It is there.", uuid=vcon.uuid, rev=2)]))
        rows = await rows_of(milvus_server.url, [vcon.uuid], collection="shared")
        assert [row["text"] for row in rows] == ["It is there."]


async def test_waits_out_an_outage(milvus_server: servers.MilvusServer, tmp_path: Path) -> None:
    vcon = said("Before the outage.")
    newer = said("After the outage.", uuid=vcon.uuid, rev=2)
    under_way, whole = _batch(), _batch()
    options = _shared(milvus_server)
    async with opened(tmp_path, **options) as storage:
        await storage.put([vcon, *whole])
        writing = asyncio.create_task(storage.put(under_way))
        await asyncio.sleep(0.02)
        milvus_server.kill()
        try:
            with contextlib.suppress(Retryable):
                await writing
            for call in (
                storage.ping(),
                storage.put([newer]),
                storage.delete(vcon.uuid),
                storage.search("outage", 1),
            ):
                with pytest.raises(Retryable):
                    await call
            async with opened(tmp_path, **options) as unconnected:
                with pytest.raises(Retryable):
                    await unconnected.ping()
        finally:
            await milvus_server.start()
        await _again(lambda: storage.put([newer]))
        await _again(lambda: storage.put(under_way))
        await storage.ping()
        rows = await rows_of(milvus_server.url, [vcon.uuid], collection="shared")
        assert [row["text"] for row in rows] == ["After the outage."]
        passages = set((await _count(milvus_server, [*whole, *under_way])).values())
        assert len(passages) == 1  # each has all of them, once
        assert await storage.delete(vcon.uuid) is True


async def test_errors_say_what_is_wrong_and_show_no_secrets(tmp_path: Path) -> None:
    address = {"host": "127.0.0.1", "port": servers.free_port()}
    secrets = {"user": "root", "password": "topsecret", "token": f"root:{uuid.uuid4().hex}"}
    async with opened(tmp_path, **(LOCAL | address | secrets)) as storage:
        with pytest.raises(Retryable, match="Milvus") as caught:
            await storage.ping()
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__cause__}"
    assert "topsecret" not in shown
    assert secrets["token"] not in shown
