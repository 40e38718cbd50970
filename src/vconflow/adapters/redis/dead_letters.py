"""Dead letters (`ports/dead_letters.py`): one stream per list."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from vconflow.adapters.redis.client import redis_errors
from vconflow.adapters.redis.documents import RedisDocuments
from vconflow.adapters.redis.entries import field_map
from vconflow.adapters.redis.index import index_keys
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.ports.dead_letters import DeadLetter
from vconflow.ports.ledger import decode_progress

__all__ = ["RedisDeadLetters"]


class RedisDeadLetters:
    """Browse, replay and expire."""

    def __init__(
        self, client: Redis, scripts: Scripts, keys: Keys, documents: RedisDocuments
    ) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._documents = documents

    async def browse(self, list_name: str, *, after: str, count: int) -> list[DeadLetter]:
        """See `DeadLetters.browse`."""
        return await self._range(list_name, f"({after}" if after else "-", "+", count)

    async def _range(self, list_name: str, low: str, high: str, count: int) -> list[DeadLetter]:
        with redis_errors():
            reply = await self._client.execute_command(
                "XRANGE", self._keys.dead(list_name), low, high, "COUNT", count
            )
        return [_dead_letter(list_name, item) for item in reply]

    async def replay(self, list_name: str, ids: Sequence[str]) -> int:
        """See `DeadLetters.replay`."""
        if not ids:
            return 0
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for letter in ids:
                    pipe.execute_command("XRANGE", self._keys.dead(list_name), letter, letter)
                found = await pipe.execute()
        letters = [_dead_letter(list_name, reply[0]) for reply in found if reply]
        call = ScriptCall()
        items = [[letter.id, call.key(self._keys.meta(letter.uuid))] for letter in letters]
        header = [call.key(self._keys.dead(list_name)), call.key(self._keys.list(list_name)), items]
        return int(await self._scripts.run("replay", call, header)) if items else 0

    async def expire(self, list_name: str, older_than: int, count: int) -> int:
        """See `DeadLetters.expire`."""
        letters = await self._range(list_name, "-", f"({older_than}-0", count)
        if not letters:
            return 0
        indexes = await self._documents.indexes([letter.uuid for letter in letters])
        call = ScriptCall()
        items = [
            [
                letter.id,
                letter.uuid,
                call.key(self._keys.document(letter.uuid)),
                call.key(self._keys.meta(letter.uuid)),
                index,
                [call.key(name) for name in index_keys(index)],
            ]
            for letter, index in zip(letters, indexes, strict=True)
        ]
        header = [call.key(self._keys.dead(list_name)), call.key(self._keys.created), items]
        return int(await self._scripts.run("dead_expire", call, header))


def _dead_letter(list_name: str, item: list[Any]) -> DeadLetter:
    held = {name.decode(): value.decode() for name, value in field_map(item[1]).items()}
    entry_id = item[0].decode()
    progress = decode_progress(held.get("progress", ""))
    return DeadLetter(
        id=entry_id,
        list=list_name,
        uuid=held.get("uuid", ""),
        chain=held.get("chain", ""),
        stage=held.get("stage", ""),
        error_type=held.get("error_type", ""),
        error=held.get("error", ""),
        attempts=int(held.get("attempts") or 0),
        first_failure=int(held.get("first_failure") or 0),
        last_failure=int(entry_id.partition("-")[0]),
        at=int(held.get("at") or 0),
        origin=held.get("origin", ""),
        next_link=progress.next_link,
        storages=progress.storages,
        trace=held.get("trace", ""),
        traceback=held.get("traceback", ""),
    )
