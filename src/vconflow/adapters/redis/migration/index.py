"""Turning a conserver's search index and listing into ours."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.migration.lists import uuid_or_nothing
from vconflow.adapters.redis.migration.routes import Moved, raw_key
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.model.validation import without_scheme

__all__ = ["IndexMigration"]

_MEMBERS = 500
_AT_ONCE = 16
_SCAN_COUNT = 500


class IndexMigration:
    """Index keys become sorted sets; listed `vcon:<uuid>` becomes `<uuid>`.

    `index_expiry` is in milliseconds; what is found stays searchable for so long from now on.
    """

    def __init__(self, client: Redis, scripts: Scripts, keys: Keys, *, index_expiry: int) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._index_expiry = index_expiry

    async def sets(self) -> AsyncIterator[tuple[int, Moved]]:
        """Take over every index key, some at a time: how many, and what of their members."""
        kinds = (self._keys.tel("*"), self._keys.mailto("*"), self._keys.name("*"))
        for kind in kinds:
            for pattern in (kind, self._keys.aside(kind)):
                async for keys in self._scan(pattern):
                    for start in range(0, len(keys), _AT_ONCE):
                        chunk = keys[start : start + _AT_ONCE]
                        yield len(chunk), await self._take_all(chunk)

    async def _take_all(self, keys: Sequence[str]) -> Moved:
        names = [key.removeprefix(self._keys.aside("")) for key in keys]
        results = await asyncio.gather(*map(self._take, names))
        return Moved(sum(it.moved for it in results), sum(it.refused for it in results))

    async def _take(self, theirs: str) -> Moved:
        total, left = Moved(), 1
        while left:
            call = ScriptCall()
            header = [
                call.key(raw_key(theirs)),
                call.key(raw_key(self._keys.aside(theirs))),
                call.key(raw_key(self._ours(theirs))),
                self._index_expiry,
                _MEMBERS,
                call.key(raw_key(self._keys.refused(theirs))),
            ]
            moved, refused, left = await self._scripts.run("migrate_index", call, header)
            total.moved += moved
            total.refused += refused
        return total

    def _ours(self, theirs: str) -> str:
        """Without `tel:` and `mailto:` in the value, which we do not keep."""
        for make, scheme in ((self._keys.tel, "tel:"), (self._keys.mailto, "mailto:")):
            if theirs.startswith(prefix := make("")):
                return make(without_scheme(theirs.removeprefix(prefix), scheme))
        return theirs

    async def listing(self) -> AsyncIterator[tuple[int, Moved]]:
        """Rename the listed `vcon:<uuid>`, chunk by chunk."""
        prefix = self._keys.document("").encode()
        cursor: int | bytes = 0
        while True:
            with redis_errors():
                cursor, found = await self._client.execute_command(
                    "ZSCAN", self._keys.created, cursor, "MATCH", prefix + b"*", "COUNT",
                    _SCAN_COUNT,
                )  # fmt: skip
            members = found[::2]
            if members:
                call = ScriptCall()
                header = [
                    call.key(self._keys.created),
                    call.key(self._keys.refused(self._keys.created)),
                    [
                        [call.arg(name), uuid_or_nothing(name.removeprefix(prefix))]
                        for name in members
                    ],
                ]
                moved, refused = await self._scripts.run("migrate_listing", call, header)
                yield len(members), Moved(moved, refused)
            if int(cursor) == 0:
                return

    async def _scan(self, pattern: str) -> AsyncIterator[list[str]]:
        cursor: int | bytes = 0
        while True:
            with redis_errors():
                cursor, found = await self._client.execute_command(
                    "SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT, "TYPE", "set"
                )
            yield [key.decode(errors="surrogateescape") for key in found]
            if int(cursor) == 0:
                return
