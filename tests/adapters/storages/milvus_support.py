"""vCons that say something, and storages that keep what was said."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from pymilvus import AsyncMilvusClient

from vconflow.adapters.providers import open_providers
from vconflow.adapters.storages.milvus import MilvusOptions, MilvusStorage
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Secret
from vconflow.testing.contracts import resources_for
from vconflow.testing.contracts.storage import stored

LOCAL = {
    "embedding_model": "local:wordllama",
    "embedding_dim": 64,
    "create_collection_if_missing": True,
}
"""A small model that costs nothing."""


def letters(text: str) -> list[float]:
    """How often each letter occurs: texts of the same words are near each other."""
    return [float(text.lower().count(chr(ord("a") + index % 26))) for index in range(64)]


def said(*sentences: str, uuid: str = "", rev: int = 1, **members: Any) -> StoredVcon:
    """A vCon with a transcript."""
    transcript = {"type": "transcript", "dialog": 0, "body": {"text": " ".join(sentences)}}
    return holding(
        uuid=uuid, rev=rev, analysis=[transcript, *members.pop("analysis", ())], **members
    )


def holding(*, uuid: str = "", rev: int = 1, **members: Any) -> StoredVcon:
    """A vCon with these members."""
    return stored(uuid, rev=rev, members="," + json.dumps(members)[1:-1] if members else "")


@asynccontextmanager
async def opened(folder: Path, /, **options: Any) -> AsyncIterator[MilvusStorage]:
    """A storage named `vectors`."""
    given = msgspec.convert(options, MilvusOptions, strict=False, dec_hook=_secret)
    async with open_providers() as providers:
        resources = resources_for(folder, name="vectors", providers=providers)
        async with MilvusStorage.open(given, resources) as storage:
            yield storage


def _secret(kind: type, value: str) -> Any:
    assert kind is Secret
    return Secret(value)


async def rows_of(
    url: str, uuids: Sequence[str], *, collection: str = "vcons", fields: Sequence[str] = ("text",)
) -> list[dict[str, Any]]:
    """The rows that a collection of a server has of some vCons."""
    client = AsyncMilvusClient(url, dedicated=True)
    try:
        rows = await client.query(
            collection,
            filter=f"vcon_uuid in {json.dumps(list(uuids))}",
            output_fields=list(fields),
            consistency_level="Strong",
        )
        return [dict(row) for row in rows]
    finally:
        await client.close()
