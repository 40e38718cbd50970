"""A collection of Milvus: what it must be like, and making it when there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc.aio
from pymilvus import AsyncMilvusClient, DataType
from pymilvus.exceptions import IndexNotExistException

from vconflow.adapters.storages.milvus_options import MilvusOptions, index_parameters
from vconflow.adapters.storages.milvus_rows import VECTOR
from vconflow.errors import Retryable

__all__ = ["Collection", "open_collection"]

_TEXTS: Final = {
    "vcon_uuid": 100,
    "party_id": 100,
    "text": 65_535,
    "created_at": 30,
    "updated_at": 30,
    "subject": 255,
    "metadata_title": 255,
    "embedding_model": 50,
    "embedding_version": 20,
}
"""The fields of the reference and how many bytes each holds."""
_OTHERS: Final = {
    "has_transcript": DataType.BOOL,
    "has_summary": DataType.BOOL,
    "party_count": DataType.INT16,
    # Ours alone: a collection of the reference cannot tell revisions.
    "rev": DataType.INT64,
}
_NEEDED: Final = ("vcon_uuid", "text")
_LEAST_PROBES: Final = 16
_LEAST_CANDIDATES: Final = 64


@dataclass(frozen=True)
class Collection:
    """What is known of a collection.

    `key` is its primary key; `lengths` has the fields that we fill, but the vector, with the bytes
    that those of texts hold; `index` is that of the vectors, with its parameters.
    """

    key: str
    lengths: Mapping[str, int | None]
    metric: str
    index: Mapping[str, Any]

    def search_parameters(self, limit: int) -> dict[str, Any]:
        """How thoroughly to look for the nearest `limit`: more than the defaults, which miss."""
        kind, nlist = str(self.index.get("index_type", "")), int(self.index.get("nlist") or 128)
        if kind.startswith("IVF") or kind == "SCANN":
            return {"params": {"nprobe": max(_LEAST_PROBES, nlist // 4)}}
        if kind == "HNSW":
            return {"params": {"ef": max(_LEAST_CANDIDATES, limit)}}
        if kind == "DISKANN":
            return {"params": {"search_list": max(_LEAST_CANDIDATES, limit)}}
        return {"params": {}}


async def open_collection(
    client: AsyncMilvusClient, options: MilvusOptions, place: str
) -> Collection:
    """Make sure of the collection and have it loaded.

    `place` is where the options stand, for errors: Retryable for what is not as it must be, since
    the operator can repair it and nothing may be lost meanwhile.
    """
    name = options.collection_name
    if not await client.has_collection(name, retry_times=0):
        if not options.create_collection_if_missing:
            raise Retryable(
                f"{place}.collection_name: there is no collection {name!r}, and "
                "create_collection_if_missing is off"
            )
        await client.create_collection(
            name, schema=_schema(client, options), consistency_level="Strong", retry_times=0
        )
    described = await client.describe_collection(name, retry_times=0)
    key, lengths = _fields(described["fields"], options, place)
    index = await _index(client, options)
    await client.load_collection(name, retry_times=0)
    return Collection(key, lengths, index.get("metric_type", options.metric_type), index)


def _schema(client: AsyncMilvusClient, options: MilvusOptions) -> Any:
    schema = client.create_schema(
        auto_id=True, enable_dynamic_field=False, description="vCons for semantic search"
    )
    schema.add_field("id", DataType.INT64, is_primary=True, auto_id=True)
    for name, length in _TEXTS.items():
        schema.add_field(name, DataType.VARCHAR, max_length=length)
    for name, kind in _OTHERS.items():
        schema.add_field(name, kind)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=options.embedding_dim)
    return schema


def _fields(
    fields: list[dict[str, Any]], options: MilvusOptions, place: str
) -> tuple[str, dict[str, int | None]]:
    """The primary key, and the fields that we fill with their lengths. Raises Retryable."""
    by_name = {field["name"]: field for field in fields}
    name = options.collection_name
    missing = [field for field in (*_NEEDED, VECTOR) if field not in by_name]
    if missing:
        raise Retryable(f"{place}.collection_name: {name!r} has no field {missing[0]!r}")
    dim = int(by_name[VECTOR].get("params", {}).get("dim", 0))
    if dim != options.embedding_dim:
        raise Retryable(
            f"{place}.embedding_dim: {options.embedding_dim}, but the vectors of the collection "
            f"{name!r} have {dim}"
        )
    key = next(field["name"] for field in fields if field.get("is_primary"))
    ours = {*_TEXTS, *_OTHERS}
    foreign = [
        n for n, field in by_name.items() if n not in {*ours, VECTOR} and _has_to_be_filled(field)
    ]
    if foreign:
        raise Retryable(
            f"{place}.collection_name: {name!r} has a field {foreign[0]!r} that nothing fills"
        )
    lengths = {
        n: int(length) if (length := field.get("params", {}).get("max_length")) else None
        for n, field in by_name.items()
        if n in ours
    }
    return key, lengths


def _has_to_be_filled(field: dict[str, Any]) -> bool:
    return not (field.get("auto_id") or field.get("nullable") or field.get("default_value"))


async def _index(client: AsyncMilvusClient, options: MilvusOptions) -> Mapping[str, Any]:
    """The index of the vectors, made if there is none: a crash may have come in between."""
    name = options.collection_name
    names = await _indexes(client, name)
    if not names:
        parameters = client.prepare_index_params()
        parameters.add_index(
            VECTOR,
            index_type=options.index_type,
            metric_type=options.metric_type,
            params=index_parameters(options),
        )
        await _create_index(client, name, parameters)
        names = await _indexes(client, name)
    found: Mapping[str, Any] = await client.describe_index(name, names[0], retry_times=0)
    return found


async def _indexes(client: AsyncMilvusClient, name: str) -> list[str]:
    try:
        names: list[str] = await client.list_indexes(name, VECTOR, retry_times=0)
    except IndexNotExistException:
        return []
    return names


async def _create_index(client: AsyncMilvusClient, name: str, parameters: Any) -> None:
    try:
        await client.create_index(name, parameters, retry_times=0)
    except grpc.aio.AioRpcError as error:
        # milvus-lite makes it at once, and cannot be asked whether it is done.
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            raise
