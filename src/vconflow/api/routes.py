"""The whole URL table. Every route is served at its path and below API_ROOT_PATH."""

from typing import Final

from vconflow.api import bulk, config, dead_letters, dlq, egress, lists, system, vcons
from vconflow.api.routing import Auth, Route

__all__ = ["ROUTES"]

KEY, STATS, NONE = Auth.KEY, Auth.STATS, Auth.NONE

# GET without HEAD: reading them has effects.
ROUTES: Final = (
    Route("GET HEAD", "/vcon", vcons.page, KEY, "vcon"),
    Route("POST", "/vcon", vcons.create, KEY, "vcon"),
    Route("GET HEAD", "/vcon/{vcon_uuid}", vcons.read, KEY, "vcon"),
    Route("PUT", "/vcon/{vcon_uuid}", vcons.replace, KEY, "vcon"),
    Route("DELETE", "/vcon/{vcon_uuid}", vcons.delete, KEY, "vcon"),
    Route("GET HEAD", "/vcons", vcons.read_many, KEY, "vcon"),
    Route("POST", "/vcons", bulk.create, KEY, "vcon"),
    Route("GET HEAD", "/vcons/search", vcons.search, KEY, "vcon"),
    Route("POST", "/vcon/ingress", lists.ingress, KEY, "chain"),
    Route("GET", "/vcon/egress", egress.pop, KEY, "chain"),
    Route("GET HEAD", "/vcon/count", egress.count, KEY, "chain"),
    Route("POST", "/chain/{chain}/ingress", lists.chain_ingress, KEY, "chain"),
    Route("GET POST", "/chain/{chain}/egress", egress.chain_pop, KEY, "chain"),
    Route("GET HEAD", "/dlq", dlq.uuids, KEY, "dlq"),
    Route("POST", "/dlq/reprocess", dlq.reprocess, KEY, "dlq"),
    Route("GET HEAD", "/dead-letters", dead_letters.page, KEY, "dlq"),
    Route("DELETE", "/dead-letters", dead_letters.purge, KEY, "dlq"),
    Route("POST", "/dead-letters/replay", dead_letters.replay, KEY, "dlq"),
    Route("GET HEAD", "/dead-letters/{dead_letter}", dead_letters.read, KEY, "dlq"),
    Route("DELETE", "/dead-letters/{dead_letter}", dead_letters.drop, KEY, "dlq"),
    Route("GET HEAD", "/config", config.read, KEY, "config"),
    Route("GET POST", "/index_vcons", system.reindex, KEY, "config"),
    Route("GET HEAD", "/stats/queue", lists.stats, STATS, "system"),
    Route("GET HEAD", "/version", system.version, NONE, "system"),
    Route("GET HEAD", "/health", system.health, NONE, "system"),
    Route("GET HEAD", "/ready", system.ready, NONE, "system"),
    Route("GET HEAD", "/metrics", system.metrics, NONE, "system"),
)
