"""Goes on with a vCon of its own instead."""

from lib.queue import VconQueue
from lib.vcon_redis import VconRedis
from vcon import Vcon

default_options = {"also": "", "subject": "copy"}


def run(vcon_uuid, link_name, opts=default_options):
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    vcon.vcon_dict["meta"] = {"copied": True}
    vcon_redis.store_vcon(vcon)
    new = Vcon.build_new()
    new.add_party({"tel": "+1555", "name": "Ä"})
    new.vcon_dict["subject"] = f"{opts['subject']} {vcon.uuid}"
    vcon_redis.store_vcon(new)
    assert vcon_redis.get_vcon_dict(new.uuid)["parties"] == [{"tel": "+1555", "name": "Ä"}]
    if opts["also"]:
        VconQueue().enqueue(opts["also"], new.uuid)
    return new.uuid
