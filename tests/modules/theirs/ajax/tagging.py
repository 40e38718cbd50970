"""Tags vCons, as links of the reference are mostly written."""

from lib.logging_utils import init_logger
from lib.metrics import increment_counter, init_metrics, record_histogram, stats_count, stats_gauge
from lib.vcon_redis import VconRedis

init_metrics()
logger = init_logger(__name__)

default_options = {"tags": ["iron", "maiden"]}


def run(vcon_uuid, link_name, opts=default_options):
    logger.debug("%s begins", link_name)
    vcon_redis = VconRedis()
    vcon = vcon_redis.get_vcon(vcon_uuid)
    if not vcon:
        return vcon_uuid
    for tag in opts["tags"]:
        vcon.add_tag(tag_name=tag, tag_value=link_name)
    opts["tags"].append("a list of its own at every run")
    vcon_redis.store_vcon(vcon)
    increment_counter("ajax.tagged", attributes={"vcon.uuid": vcon_uuid})
    stats_count("ajax.tagged", 2, tags=[vcon_uuid])
    record_histogram("ajax.tags", len(opts["tags"]))
    stats_gauge("ajax.gauge", 7)
    return vcon_uuid
