"""Lets through what fits."""

from lib.links.filters import is_included, randomly_execute_with_sampling
from lib.vcon_redis import VconRedis

default_options = {"sampling_rate": 1, "only_if": None}


def run(vcon_uuid, link_name, opts=default_options):
    vcon = VconRedis().get_vcon(vcon_uuid)
    if is_included(opts, vcon) and randomly_execute_with_sampling(opts):
        return vcon_uuid
    return None
