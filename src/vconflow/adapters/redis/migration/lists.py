"""Moving the lists of a conserver to our streams, chunk by chunk and each in one step."""

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.migration.documents import DocumentMigration
from vconflow.adapters.redis.migration.routes import Moved, Route, context_key
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.model.identifiers import canonical_uuid

__all__ = ["ListMigration", "uuid_or_nothing"]

_CHUNK = 200
"""So many are moved by one script: it keeps others waiting for a few milliseconds."""

_encode = msgspec.msgpack.Encoder().encode
_to_json = msgspec.json.Encoder().encode


class ListMigration:
    """Moves elements in the order in which the conserver would have taken them."""

    def __init__(
        self, client: Redis, scripts: Scripts, keys: Keys, documents: DocumentMigration
    ) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._documents = documents

    async def step(self, route: Route) -> tuple[Moved, int]:
        """Move the next elements, their documents first; what was done, and how many are left.

        Nothing may be moved although some are left: others have put something before them.
        """
        first, last = (0, _CHUNK - 1) if route.from_head else (-_CHUNK, -1)
        with redis_errors():
            found = await self._client.execute_command("LRANGE", route.source, first, last)
        if not found:
            return Moved(), 0
        elements = found if route.from_head else found[::-1]
        uuids = [uuid_or_nothing(element) for element in elements]
        await self._documents.take([uuid for uuid in uuids if uuid])
        moved, refused = await self._move(route, elements, uuids)
        with redis_errors():
            left = await self._client.execute_command("LLEN", route.source)
        return Moved(moved, refused), int(left)

    async def _move(
        self, route: Route, elements: Sequence[bytes], uuids: Sequence[str]
    ) -> Sequence[int]:
        keys, call = self._keys, ScriptCall()
        dead = route.kind == "dead"
        header = [
            call.key(route.source),
            call.key(keys.dead(route.target) if dead else keys.list(route.target)),
            route.from_head,
            "open" if route.feeds else "egress",
            call.key(keys.refused(route.source)),
            call.arg(_dead_fields(route)) if dead else 0,
            [
                [
                    call.arg(element),
                    uuid,
                    call.key(keys.document(uuid)),
                    call.key(keys.meta(uuid)),
                    call.key(context_key(route.source, uuid)),
                    uuid in self._documents.stuck,
                ]
                for element, uuid in zip(elements, uuids, strict=True)
            ],
        ]
        reply: Sequence[int] = await self._scripts.run("migrate_list", call, header)
        return reply


def uuid_or_nothing(element: bytes) -> str:
    """The uuid that an element of a list is; empty when it is none."""
    try:
        return canonical_uuid(element.decode())
    except ValueError:
        return ""


def _dead_fields(route: Route) -> bytes:
    if not route.storage:
        stage, progress = "migrated", ""
    else:
        stage = f"storage:{route.storage}"
        # The revision, which only Redis knows, completes it.
        known: dict[str, Any] = {"storages": [route.storage], "planned": list(route.storages)}
        progress = _to_json(known).decode().removesuffix("}") + ',"rev":'
    error = f"migrated from the conserver's {route.source}, which tells no reason"
    return _encode([route.chain, stage, "Migrated", error, progress])
