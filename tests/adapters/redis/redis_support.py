"""What the tests of the Redis adapter see besides the ports."""

from vconflow.adapters.redis.backend import RedisBackend


async def use_up_ids(backend: RedisBackend, list_name: str) -> None:
    """No entry can be added to the list any more: whatever tries fails in its middle."""
    last = f"{2**64 - 1}-{2**64 - 1}"
    await backend.connections.commands.execute_command(
        "XADD", f"vconflow:list:{list_name}", last, "uuid", "x"
    )


async def meta(backend: RedisBackend, uuid: str) -> dict[str, str]:
    flat = await backend.connections.commands.execute_command("HGETALL", f"vconflow:vcon:{uuid}")
    return {k.decode(): v.decode() for k, v in zip(flat[::2], flat[1::2], strict=True)}
