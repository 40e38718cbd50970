"""An `async def run`."""

import asyncio

from lib.vcon_redis import VconRedis


async def run(vcon_uuid, link_name, opts):
    await asyncio.sleep(0.001)
    vcon = VconRedis().get_vcon(vcon_uuid)
    vcon.add_tag("waited", "yes")
    VconRedis().store_vcon(vcon)
    return vcon_uuid
