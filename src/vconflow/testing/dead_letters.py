"""Very many dead letters, quickly."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import redis

from vconflow.adapters.redis.keys import Keys
from vconflow.model.identifiers import new_uuid

__all__ = ["bury"]

_CHUNK: Final = 1_000
_REASON: Final = {
    "chain": "main",
    "stage": "link:second",
    "error_type": "Permanent",
    "error": "refused",
    "attempts": "3",
    "first_failure": "1700000000000",
    "progress": '{"next_link":"second"}',
    "traceback": "  File 'link.py', line 1\n" * 80,
}


def bury(client: Any, list_name: str, count: int, **fields: str) -> list[str]:
    """Store vCons and bury them as their chain would have; their uuids in order.

    `client` is a `redis.Redis`. `fields` go before those of a link `second` that failed; each
    letter takes about 2 kB. Waits for Redis, so in coroutines of tests only.
    """
    uuids = [new_uuid() for _ in range(count)]
    for start in range(0, count, _CHUNK):
        _bury(client, list_name, uuids[start : start + _CHUNK], {**_REASON, **fields})
    return uuids


def _bury(client: Any, list_name: str, uuids: Sequence[str], fields: Mapping[str, str]) -> None:
    keys = Keys()
    pipe: redis.client.Pipeline = client.pipeline(transaction=False)
    for uuid in uuids:
        vcon = {"vcon": "0.0.1", "uuid": uuid, "created_at": "2025-03-21T06:59:56Z", "parties": []}
        letter = {"rev": "1", "uuid": uuid, **fields}
        pipe.execute_command("SET", keys.document(uuid), json.dumps(vcon))
        pipe.execute_command("HSET", keys.meta(uuid), "rev", "1", "born", "1", "open", "1")
        flat = chain.from_iterable(letter.items())
        pipe.execute_command("XADD", keys.dead(list_name), "*", *flat)
    pipe.execute()
