"""S3 storage: one object per vCon, and a small one that says where it is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Final, Self
from weakref import WeakValueDictionary

from vconflow.adapters.storages.places import folder_of, raise_failures, uuid_in_path
from vconflow.adapters.storages.s3_layout import Keys, Pointer, labels_of, rev_of
from vconflow.adapters.storages.s3_options import S3Options
from vconflow.errors import Conflict, Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.objects import ANYTHING, NOTHING, Bucket, ObjectState

__all__ = ["S3Options", "S3Storage"]

_TRIES: Final = 5
_VCON: Final = "application/vcon+json"
_LOOKUP: Final = "text/plain"


class S3Storage:
    """Writes the lookup before the vCon, so that whatever is there can be found and deleted.

    An object carries its revision; a newer one is let be. Between looking and writing another
    replica may write: servers that know `If-Match` refuse then, and it is looked at again.
    """

    options: ClassVar[type[Options]] = S3Options
    readable: ClassVar[bool] = True

    def __init__(self, bucket: Bucket, options: S3Options) -> None:
        self._bucket = bucket
        self._path = options.s3_path
        self._slots = asyncio.Semaphore(options.concurrency)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    @asynccontextmanager
    async def open(cls, options: S3Options, resources: Resources) -> AsyncIterator[Self]:
        """Open the bucket without connecting."""
        access = options.access(options.aws_bucket, options.multipart_threshold)
        async with resources.objects.bucket(access) as bucket:
            yield cls(bucket, options)

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Write a batch. Raises Retryable when nothing could be written, else PartialFailure."""
        results = await asyncio.gather(*map(self._put_one, vcons))
        failures = {
            vcon.uuid: error
            for vcon, error in zip(vcons, results, strict=True)
            if error is not None
        }
        raise_failures(failures, len(vcons))

    async def get(self, uuid: str) -> bytes | None:
        """Return the bytes last put, by way of the lookup."""
        keys = self._keys(uuid)
        for _ in range(2):  # it may be moved meanwhile, and then the lookup says where to
            pointer = await self._pointer(keys)
            if pointer is None:
                return None
            for day in pointer.days:
                document = await self._bucket.get(keys.vcon(day))
                if document is not None:
                    return document
        return None

    async def delete(self, uuid: str) -> bool:
        """Remove the vCon and then its lookup. A bucket with versions keeps the former ones."""
        keys = self._keys(uuid)
        async with self._turn(keys):
            pointer = await self._pointer(keys)
            if pointer is None:
                return False
            held = [await self._bucket.delete(keys.vcon(day)) for day in pointer.days]
            await self._bucket.delete(keys.lookup)
        return any(held)

    async def ping(self) -> None:
        """Ask for the bucket."""
        await self._bucket.ping()

    async def _put_one(self, vcon: StoredVcon) -> Exception | None:
        try:
            keys = self._keys(vcon.uuid)
            async with self._slots, self._turn(keys):
                await self._write(keys, vcon)
        except (Retryable, Permanent) as error:
            return error
        return None

    async def _write(self, keys: Keys, vcon: StoredVcon) -> None:
        for _ in range(_TRIES):
            try:
                pointer = await self._pointer(keys)
                if pointer is None:
                    pointer = Pointer(folder_of(vcon.created_at))
                    await self._point(keys, pointer, NOTHING)
                await self._write_at(keys, pointer, vcon)
            except Conflict:
                continue  # another replica has written meanwhile
            return
        raise Retryable("others keep writing the same vCon")

    async def _write_at(self, keys: Keys, pointer: Pointer, vcon: StoredVcon) -> None:
        there = await self._bucket.state(keys.vcon(pointer.day)) if pointer.etag else None
        if rev_of(there) > vcon.rev:
            return
        day = folder_of(vcon.created_at)
        if day == pointer.day:
            await self._write_object(keys.vcon(day), vcon, there)
            if pointer.also is not None:
                await self._bucket.delete(keys.vcon(pointer.also))
        else:
            await self._move(keys, pointer, day, vcon)

    async def _move(self, keys: Keys, pointer: Pointer, day: str, vcon: StoredVcon) -> None:
        """Write it elsewhere. At every moment the lookup leads to it, and names all copies."""
        if pointer.also not in (None, day):
            await self._bucket.delete(keys.vcon(pointer.also))
        here = await self._bucket.state(keys.vcon(day))
        if rev_of(here) <= vcon.rev:
            await self._point(keys, Pointer(pointer.day, also=day), pointer.etag)
            await self._write_object(keys.vcon(day), vcon, here)
        await self._point(keys, Pointer(day, also=pointer.day))
        await self._bucket.delete(keys.vcon(pointer.day))

    async def _write_object(self, key: str, vcon: StoredVcon, seen: ObjectState | None) -> None:
        replacing = NOTHING if seen is None else seen.etag
        labels = labels_of(vcon.rev)
        await self._bucket.put(key, vcon.document, _VCON, metadata=labels, replacing=replacing)

    async def _point(self, keys: Keys, pointer: Pointer, replacing: str = ANYTHING) -> None:
        await self._bucket.put(
            keys.lookup,
            pointer.day.encode(),
            _LOOKUP,
            metadata=pointer.metadata,
            replacing=replacing,
        )

    async def _pointer(self, keys: Keys) -> Pointer | None:
        found = await self._bucket.read(keys.lookup)
        return None if found is None else Pointer.read(found)

    def _keys(self, uuid: str) -> Keys:
        return Keys(self._path, uuid_in_path(uuid))

    def _turn(self, keys: Keys) -> asyncio.Lock:
        """Whoever writes or deletes the same vCon in this process waits for the other."""
        return self._turns.setdefault(keys.lookup, asyncio.Lock())
