"""`redis_mgr`: what modules do with vCons by Redis commands, done as vconflow does it.

It is no client of Redis: lists and documents have another form here, and a command that went past
the engine would be undone by it, or lose what it writes.
"""

from typing import Any

from vconflow.adapters.modules.call import current

__all__ = ["get_client", "get_key", "redis", "set_key"]

_PREFIX = "vcon:"


class _Json:
    """The commands of RedisJSON on keys `vcon:{uuid}`."""

    def get(self, name: str, *paths: object) -> dict[str, Any] | None:
        """The vCon."""
        uuid = _uuid(name)
        return current().read(uuid)

    def set(self, name: str, path: object, obj: dict[str, Any]) -> bool:
        """Store the vCon."""
        _uuid(name)
        current().write(obj)
        return True


class _Redis:
    def json(self) -> _Json:
        """Documents."""
        return _Json()

    def rpush(self, name: str, *uuids: str) -> int:
        """Put vCons on a list."""
        return sum(current().enqueue(name, uuid) for uuid in uuids)

    lpush = rpush

    def expire(self, name: str, time: int) -> bool:
        """Let a vCon leave Redis so long after its chain."""
        uuid = _uuid(name)
        return current().expire(uuid, time)

    def exists(self, name: str) -> int:
        """Whether there is such a vCon."""
        uuid = _uuid(name)
        return int(current().read(uuid) is not None)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"redis_mgr of vconflow has no {name!r}: it knows json(), rpush, lpush, expire and "
            "exists of vCons; for keys of your own connect with redis.Redis.from_url"
        )


redis = _Redis()


def get_client() -> _Redis:
    """What stands in for the client."""
    return redis


def set_key(key: str, value: dict[str, Any]) -> bool:
    """Store the vCon of a key `vcon:{uuid}`."""
    return redis.json().set(key, "$", value)


def get_key(key: str) -> dict[str, Any] | None:
    """The vCon of a key `vcon:{uuid}`."""
    return redis.json().get(key)


def _uuid(key: str) -> str:
    if not key.startswith(_PREFIX):
        raise ValueError("redis_mgr of vconflow knows no keys but vcon:{uuid}")
    return key.removeprefix(_PREFIX)
