"""Collections of the storage `milvus`: made, taken over from the reference, and refused."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from milvus_lite.db import MilvusLite
from milvus_support import LOCAL, holding, opened, rows_of, said
from pymilvus import AsyncMilvusClient, DataType

from vconflow.adapters.storages.milvus import MilvusOptions
from vconflow.errors import ConfigError, Permanent, Retryable
from vconflow.testing import servers
from vconflow.testing.contracts.storage import stored

OTHER = "Something else entirely, about trains and kettles."
SENTENCE = "A very particular sentence about copper kettles on the moon."


@pytest.fixture
def name() -> str:
    return f"c_{uuid.uuid4().hex}"


@pytest.fixture
async def client(milvus_server: servers.MilvusServer) -> AsyncIterator[AsyncMilvusClient]:
    client = AsyncMilvusClient(milvus_server.url, dedicated=True)
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (
            {"index_type": "HNSW", "metric_type": "COSINE", "m": "8", "ef_construction": 100},
            {"index_type": "HNSW", "metric_type": "COSINE", "M": "8", "efConstruction": "100"},
        ),
        (
            {"index_type": "IVF_PQ", "metric_type": "IP", "nlist": 32},
            {"index_type": "IVF_PQ", "metric_type": "IP", "nlist": "32", "m": "8", "nbits": "8"},
        ),
    ],
    ids=["HNSW", "IVF_PQ"],
)
async def test_makes_the_index_as_it_is_told(
    milvus_server: servers.MilvusServer,
    client: AsyncMilvusClient,
    tmp_path: Path,
    name: str,
    index: dict[str, Any],
    expected: dict[str, str],
) -> None:
    vcons = [said(SENTENCE), *(said(f"Number {n} has nothing to do with it.") for n in range(20))]
    options = LOCAL | index | {"uri": milvus_server.url, "collection_name": name}
    async with opened(tmp_path, **options) as storage:
        await storage.put(vcons)
        hits = await storage.search(SENTENCE, 2)
    assert hits[0].uuid == vcons[0].uuid
    assert hits[0].score == pytest.approx(1, abs=1e-4)  # whatever the metric is
    assert hits[1].score < 0.9
    described = await client.describe_index(name, "embedding")
    assert {key: str(described.get(key)) for key in expected} == expected


@pytest.mark.parametrize("index", ["AUTOINDEX", "FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8"])
@pytest.mark.parametrize("metric", ["L2", "IP", "COSINE"])
async def test_the_score_is_the_cosine_whatever_the_metric(
    tmp_path: Path, index: str, metric: str
) -> None:
    options = LOCAL | {"uri": str(tmp_path / "v.db"), "index_type": index, "metric_type": metric}
    async with opened(tmp_path, **options) as storage:
        await storage.put([said(SENTENCE), said(OTHER)])
        near, far = await storage.search(SENTENCE, 2)
        one, two = await storage._vectors.of([SENTENCE, OTHER])
    assert near.score == pytest.approx(1, abs=1e-3)
    assert far.score == pytest.approx(float(one @ two), abs=0.02)
    assert far.score < 0.7


async def test_the_fields_are_those_of_the_reference(tmp_path: Path) -> None:
    vcon = said(
        "It rained.",
        rev=4,
        subject="Rain",
        parties=[{"role": "agent"}, {"tel": "tel:+15550100", "name": "Ann", "role": "customer"}],
        metadata={"title": "A call", "description": "About rain"},
        updated_at="2025-10-10T08:00:00+02:00",
        analysis=[{"type": "summary", "body": "There was rain."}],
    )
    async with opened(tmp_path, **LOCAL, uri=str(tmp_path / "v.db")) as storage:
        await storage.put([vcon])
        rows = await storage._rows.of([vcon.uuid])
    common = {
        "vcon_uuid": vcon.uuid,
        "rev": 4,
        "party_id": "agent",
        "created_at": "2025-10-09T08:53:20.000+00:00",
        "updated_at": "2025-10-10T06:00:00.000+00:00",
        "subject": "Rain",
        "metadata_title": "A call",
        "has_transcript": True,
        "has_summary": True,
        "party_count": 2,
        "embedding_model": "local:wordllama",
        "embedding_version": "1.0",
    }
    texts = [row.pop("text") for row in rows]
    for row in rows:
        del row["id"]
    assert rows == [common] * 3
    assert set(texts) == {
        "Subject: Rain. Title: A call. Description: About rain. Party: agent. Party: customer Ann.",
        "It rained.",
        "There was rain.",
    }


async def _collection_of_the_reference(client: AsyncMilvusClient, name: str, dim: int) -> None:
    """As the reference makes it: no revision in it, and the default name of an index."""
    schema = client.create_schema(auto_id=True, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True, auto_id=True)
    lengths = {"vcon_uuid": 100, "party_id": 100, "text": 65_535, "created_at": 30}
    lengths |= {"updated_at": 30, "subject": 255, "metadata_title": 255}
    lengths |= {"embedding_model": 50, "embedding_version": 20}
    for field, length in lengths.items():
        schema.add_field(field, DataType.VARCHAR, max_length=length)
    for field in ("has_transcript", "has_summary"):
        schema.add_field(field, DataType.BOOL)
    schema.add_field("party_count", DataType.INT16)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
    await client.create_collection(name, schema=schema)
    index = client.prepare_index_params()
    index.add_index(
        "embedding", index_name="", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 16}
    )
    await client.create_index(name, index)


async def test_takes_over_a_collection_of_the_reference(
    milvus_server: servers.MilvusServer, client: AsyncMilvusClient, tmp_path: Path, name: str
) -> None:
    await _collection_of_the_reference(client, name, 64)
    old, other = stored(), stored()
    row = {
        "party_id": "no_party_info", "text": "all that was said in one row", "created_at": "",
        "updated_at": "", "subject": "", "metadata_title": "", "has_transcript": True,
        "has_summary": False, "party_count": 0, "embedding_model": "local:wordllama",
        "embedding_version": "1.0", "embedding": [0.0] * 64,
    }  # fmt: skip
    await client.insert(name, [row | {"vcon_uuid": vcon.uuid} for vcon in (old, other)])
    options = LOCAL | {"uri": milvus_server.url, "collection_name": name}
    options["create_collection_if_missing"] = False
    async with opened(tmp_path, **options) as storage:
        assert {hit.uuid for hit in await storage.search("said", 5)} == {old.uuid, other.uuid}
        await storage.put(
            [said(SENTENCE, uuid=old.uuid), said("all that was said in one row", uuid=other.uuid)]
        )
        assert (await storage.search(SENTENCE, 1))[0].score == pytest.approx(1, abs=1e-4)
        # Its row had no embedding but zeros, which are no reason not to ask for one now.
        found = (await storage.search("all that was said in one row", 1))[0]
        assert (found.uuid, found.score) == (other.uuid, pytest.approx(1, abs=1e-4))
        assert await rows_of(milvus_server.url, [old.uuid], collection=name) == [
            {"text": SENTENCE, "id": pytest.approx(0, abs=2**63)}
        ]
        assert await storage.delete(other.uuid)
        assert await rows_of(milvus_server.url, [other.uuid], collection=name) == []


async def test_a_missing_collection_is_said_and_loses_nothing(tmp_path: Path) -> None:
    options = LOCAL | {"uri": str(tmp_path / "v.db")}
    vcon = said(SENTENCE)
    async with opened(tmp_path, **(options | {"create_collection_if_missing": False})) as storage:
        for _ in range(2):
            with pytest.raises(Retryable) as caught:
                await storage.put([vcon])
            place = "storages.vectors.options.collection_name"
            assert f"{place}: there is no collection 'vcons'" in str(caught.value)
        with pytest.raises(Retryable, match="create_collection_if_missing"):
            await storage.ping()
        async with opened(tmp_path, **options) as maker:
            await maker.ping()
        await storage.put([vcon])
        assert (await storage.search(SENTENCE, 1))[0].uuid == vcon.uuid


async def test_other_vectors_and_other_fields_are_refused(tmp_path: Path) -> None:
    options = LOCAL | {"uri": str(tmp_path / "v.db")}
    async with opened(tmp_path, **options) as storage:
        await storage.put([said(SENTENCE)])
        async with opened(tmp_path, **(options | {"embedding_dim": 128})) as other:
            with pytest.raises(Retryable, match=r"options\.embedding_dim: 128, .* have 64"):
                await other.put([said(SENTENCE)])
        client = storage._rows._client
        for fields, complaint in (
            (["vcon_uuid"], "has no field 'text'"),
            (["vcon_uuid", "text", "owner"], "has a field 'owner' that nothing fills"),
        ):
            schema = client.create_schema(auto_id=True, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True, auto_id=True)
            for field in fields:
                schema.add_field(field, DataType.VARCHAR, max_length=100)
            schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=64)
            await client.create_collection("odd", schema=schema)
            async with opened(tmp_path, **(options | {"collection_name": "odd"})) as other:
                with pytest.raises(Retryable, match=complaint):
                    await other.ping()
            await client.drop_collection("odd")


async def test_texts_are_cut_to_what_a_field_holds(tmp_path: Path) -> None:
    vcon = holding(subject="ü" * 400, parties=[{"name": "ä" * 300}])
    async with opened(tmp_path, **LOCAL, uri=str(tmp_path / "v.db")) as storage:
        await storage.put([vcon])
        rows = await storage._rows.of([vcon.uuid])
    assert {(row["subject"], row["party_id"]) for row in rows} == {("ü" * 127, "ä" * 50)}


async def test_a_dropped_collection_is_made_again(tmp_path: Path) -> None:
    vcon = said(SENTENCE)
    async with opened(tmp_path, **LOCAL, uri=str(tmp_path / "v.db")) as storage:
        await storage.put([vcon])
        await storage._rows._client.drop_collection("vcons")
        with pytest.raises(Retryable):
            await storage.put([vcon])
        await storage.put([vcon])
        assert (await storage.search(SENTENCE, 1))[0].uuid == vcon.uuid
        await storage._rows._client.drop_collection("vcons")
        await storage.ping()
        await storage.put([vcon])


async def test_a_file_is_kept_and_shared_by_storages_of_one_process(tmp_path: Path) -> None:
    options = LOCAL | {"uri": str(tmp_path / "new folder" / "v.db")}
    vcon = said(SENTENCE)
    async with opened(tmp_path, **options) as before:
        await before.put([vcon])
        async with opened(tmp_path, **options) as after:
            assert (await after.search(SENTENCE, 1))[0].uuid == vcon.uuid
        assert (await before.search(SENTENCE, 1))[0].uuid == vcon.uuid
    async with opened(tmp_path, **options) as again:
        assert (await again.search(SENTENCE, 1))[0].uuid == vcon.uuid


async def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("no folder")
    with pytest.raises(Permanent, match=r"uri: .*/occupied/v\.db: "):
        async with opened(tmp_path, **LOCAL, uri=str(tmp_path / "occupied" / "v.db")):
            pass
    other = MilvusLite(str(tmp_path / "v.db"))
    try:
        with pytest.raises(Permanent, match=r"v\.db cannot be opened: does another process use it"):
            async with opened(tmp_path, **LOCAL, uri=str(tmp_path / "v.db")):
                pass
    finally:
        other.close()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"index_type": "IVF_FALT"}, r"index_type"),
        ({"metric_type": "l2"}, r"metric_type"),
        ({"collection_name": "no-name"}, r"collection_name"),
        ({"embedding_dim": 0}, r"embedding_dim"),
        ({"uri": "ftp://milvus"}, r"uri"),
        ({"uri": "http://../../elsewhere.db"}, r"uri"),
        ({"index_type": "IVF_PQ", "embedding_dim": 100}, r"pq_m must divide"),
        ({"nlists": 1}, r"nlists"),
    ],
)
def test_refuses_bad_options(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.convert(options, MilvusOptions, strict=False)


async def test_an_unknown_local_model_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="local:parrot"):
        async with opened(tmp_path, embedding_model="local:parrot"):
            pass


async def test_replicas_may_make_the_collection_together(
    milvus_server: servers.MilvusServer, tmp_path: Path, name: str
) -> None:
    vcons = [said(f"Replica {number} has said so.") for number in range(4)]

    async def one_replica(number: int) -> None:
        options = LOCAL | {"uri": milvus_server.url, "collection_name": name}
        async with opened(tmp_path, **options) as storage:
            while True:
                try:
                    return await storage.put([vcons[number]])
                except Retryable:
                    await asyncio.sleep(0.1)  # as the engine does

    await asyncio.gather(*map(one_replica, range(4)))
    rows = await rows_of(milvus_server.url, [vcon.uuid for vcon in vcons], collection=name)
    assert len(rows) == 4
