"""Puts vCons on further lists, and lets them expire, by whatever way links know."""

import redis_mgr
from lib.queue import VconQueue

default_options = {"lists": [], "halt": False, "by_client": False, "ttl": 0}


def run(vcon_uuid, link_name, opts=default_options):
    for name in opts["lists"]:
        if opts["by_client"]:
            redis_mgr.get_client().rpush(name, vcon_uuid)
        else:
            VconQueue().enqueue(name, vcon_uuid)
    if opts["ttl"]:
        redis_mgr.redis.expire(f"vcon:{vcon_uuid}", opts["ttl"])
    return not opts["halt"] and vcon_uuid
