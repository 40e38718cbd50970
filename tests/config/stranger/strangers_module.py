"""A link of the reference's contract."""

from lib.vcon_redis import VconRedis

default_options = {"token": "of nobody"}


def run(vcon_uuid, link_name, opts=default_options):
    return VconRedis().get_vcon(vcon_uuid).uuid
