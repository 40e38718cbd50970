"""What the tests of the Redis adapter see besides the ports."""

from vconflow.adapters.redis.backend import RedisBackend


async def meta(backend: RedisBackend, uuid: str) -> dict[str, str]:
    flat = await backend.connections.commands.execute_command("HGETALL", f"vconflow:vcon:{uuid}")
    return {k.decode(): v.decode() for k, v in zip(flat[::2], flat[1::2], strict=True)}
