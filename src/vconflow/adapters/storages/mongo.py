"""MongoDB storage: one document per vCon, the exact bytes beside the members to search in."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar, Final, Self
from urllib.parse import parse_qs, urlsplit

from bson import CodecOptions
from bson.raw_bson import RawBSONDocument
from msgspec import Meta
from pymongo import AsyncMongoClient, ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.uri_parser import parse_uri

from vconflow.adapters.storages.mongo_documents import DOCUMENT, OURS, REVISION, as_bson, as_json
from vconflow.adapters.storages.mongo_errors import failure_of, is_held_already, mapped_errors
from vconflow.errors import PartialFailure, Permanent
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Options, Resources, Secret

__all__ = ["MongoOptions", "MongoStorage"]

_CODEC: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)
_DEFAULTS: Final[Mapping[str, Any]] = {
    "appname": "vconflow",
    "serverSelectionTimeoutMS": 5000,
    # What was stored may be dropped elsewhere: it must not be lost with one server, or one crash.
    "w": "majority",
    "journal": True,
}

Raw = dict[str, RawBSONDocument]


class MongoOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `mongo`."""

    url: Annotated[
        Secret,
        Meta(
            description="`mongodb://user:password@host:port/?option=…` or `mongodb+srv://…`; "
            "`mongodb://localhost:27017/` if unset. Writes wait for the journals of a majority "
            "unless it says otherwise."
        ),
    ] = Secret("mongodb://localhost:27017/")
    database: Annotated[str, Meta(min_length=1, description="The database.")] = "conserver"
    collection: Annotated[str, Meta(min_length=1, description="The collection.")] = "vcons"
    name: Annotated[str | None, Meta(description="Without effect; the reference has it.")] = None

    def __post_init__(self) -> None:
        if not _is_address(self.url.reveal()):
            # The driver would quote what it cannot read, and that may be a part of the password.
            raise ValueError(
                "url: expected mongodb://[user:password@]host:port/ or mongodb+srv://, with no "
                "options but the driver's; write special characters of the password as %XX"
            )


class MongoStorage:
    """Writes a batch with one bulk write; an older revision never replaces a newer one.

    Connections are opened when they are first needed, so that vconflow starts while MongoDB is
    away. A vCon that is over 16 MiB does not fit, and one near it goes without its members.
    """

    options: ClassVar[type[Options]] = MongoOptions
    readable: ClassVar[bool] = True

    def __init__(self, client: "AsyncMongoClient[dict[str, Any]]", options: MongoOptions) -> None:
        self._client = client
        self._vcons: AsyncCollection[dict[str, Any]] = client.get_database(
            options.database
        ).get_collection(options.collection, codec_options=_CODEC)

    @classmethod
    @asynccontextmanager
    async def open(cls, options: MongoOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open a client without connecting."""
        url = options.url.reveal()
        # `urlsplit` takes no second host in brackets.
        options_of_url = parse_qs(url.partition("?")[2], keep_blank_values=True)
        given = {name.lower() for name in options_of_url}
        defaults = {name: value for name, value in _DEFAULTS.items() if name.lower() not in given}
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url, connect=False, **defaults)
        try:
            yield cls(client, options)
        finally:
            await client.close()

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Write a batch. Raises PartialFailure for vCons that MongoDB refuses."""
        failures: dict[str, Exception] = {}
        documents = await asyncio.to_thread(_encoded, vcons, failures)
        fitting = [vcon for vcon in vcons if vcon.uuid in documents]
        with mapped_errors():
            held = await self._write(fitting, documents, failures, upsert=True)
            # A newer revision is there, or another replica was quicker to insert an older one.
            await self._write(held, documents, failures, upsert=False)
        if failures:
            raise PartialFailure(failures)

    async def get(self, uuid: str) -> bytes | None:
        """Return the bytes last put; of a document that the reference wrote, JSON made of it."""
        with mapped_errors():
            found = await self._vcons.find_one({"_id": uuid}, {DOCUMENT: True})
            if found is None:
                return None
            if OURS in found:
                return bytes(found[OURS]["document"])
            whole = await self._vcons.find_one({"_id": uuid})
        return None if whole is None else await asyncio.to_thread(as_json, whole)

    async def delete(self, uuid: str) -> bool:
        """Remove the document."""
        with mapped_errors():
            result = await self._vcons.delete_one({"_id": uuid})
        return result.deleted_count == 1

    async def ping(self) -> None:
        """Make sure that there is a server that takes writes."""
        with mapped_errors():
            await self._client.admin.command("ping")

    async def _write(
        self,
        vcons: Sequence[StoredVcon],
        documents: Raw,
        failures: dict[str, Exception],
        *,
        upsert: bool,
    ) -> list[StoredVcon]:
        """Write what is newer than what is there; return those that are there already."""
        if not vcons:
            return []
        requests: list[ReplaceOne[dict[str, Any]]] = [
            ReplaceOne(
                # A document of the reference has no revision: anything of ours is newer.
                {"_id": vcon.uuid, REVISION: {"$not": {"$gt": vcon.rev}}},
                documents[vcon.uuid],
                upsert=upsert,
            )
            for vcon in vcons
        ]
        held = []
        try:
            await self._vcons.bulk_write(requests, ordered=False)
        except BulkWriteError as error:
            errors = error.details.get("writeErrors", ())
            # What was written may be on one server only, or none of it is known to be.
            if not errors or error.details.get("writeConcernErrors"):
                raise
            for refused in errors:
                vcon = vcons[refused["index"]]
                if upsert and is_held_already(refused):
                    held.append(vcon)
                else:
                    failures[vcon.uuid] = failure_of(refused)
        return held


def _encoded(vcons: Sequence[StoredVcon], failures: dict[str, Exception]) -> Raw:
    """The documents by uuid; what fits in none is among the failures."""
    documents = {}
    for vcon in vcons:
        try:
            documents[vcon.uuid] = RawBSONDocument(as_bson(vcon))
        except Permanent as failure:
            failures[vcon.uuid] = failure
    return documents


def _is_address(url: str) -> bool:
    if url.startswith("mongodb+srv://"):
        return bool(urlsplit(url).hostname)  # the driver would ask the DNS at once
    try:
        parse_uri(url)
    except (PyMongoError, ValueError):
        return False
    return True
