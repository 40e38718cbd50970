"""The whole URL table. Every route is served at its path and below API_ROOT_PATH."""

from typing import Final

from vconflow.api import (
    bulk,
    chains,
    config,
    dead_letters,
    dlq,
    docs,
    egress,
    egress_leases,
    events,
    external,
    followers,
    history,
    lists,
    status,
    system,
    vcons,
)
from vconflow.api.routing import Auth, Route

__all__ = ["ROUTES"]

READ, WRITE, ADMIN = Auth.READ, Auth.WRITE, Auth.ADMIN
PARTNER, STATS, NONE = Auth.PARTNER, Auth.STATS, Auth.NONE

# GET without HEAD: reading them has effects.
ROUTES: Final = (
    Route("GET HEAD", "/vcon", vcons.page, READ, "vcon"),
    Route("POST", "/vcon", vcons.create, WRITE, "vcon"),
    Route("GET HEAD", "/vcon/{vcon_uuid}", vcons.read, READ, "vcon"),
    Route("PUT", "/vcon/{vcon_uuid}", vcons.replace, WRITE, "vcon"),
    Route("DELETE", "/vcon/{vcon_uuid}", vcons.delete, WRITE, "vcon"),
    Route("GET HEAD", "/vcon/{vcon_uuid}/history", history.read, READ, "vcon"),
    Route("GET HEAD", "/vcons", vcons.read_many, READ, "vcon"),
    Route("POST", "/vcons", bulk.create, WRITE, "vcon"),
    Route("GET HEAD", "/vcons/search", vcons.search, READ, "vcon"),
    Route("POST", "/vcon/external-ingress", external.create, PARTNER, "vcon"),
    Route("POST", "/vcon/ingress", lists.ingress, WRITE, "chain"),
    Route("GET", "/vcon/egress", egress.pop, WRITE, "chain"),
    Route("GET HEAD", "/vcon/count", egress.count, READ, "chain"),
    Route("POST", "/chain/{chain}/ingress", lists.chain_ingress, WRITE, "chain"),
    Route("GET POST", "/chain/{chain}/egress", egress.chain_pop, WRITE, "chain"),
    Route("POST", "/egress/{list}/lease", egress_leases.lease, WRITE, "chain"),
    Route("POST", "/egress/{list}/ack", egress_leases.ack, WRITE, "chain"),
    Route("POST", "/egress/{list}/return", egress_leases.give_back, WRITE, "chain"),
    Route("POST", "/egress/{list}/extend", egress_leases.extend, WRITE, "chain"),
    Route("GET HEAD", "/chains", chains.read_all, READ, "chain"),
    Route("POST", "/chains/{chain}/pause", chains.pause, ADMIN, "chain"),
    Route("POST", "/chains/{chain}/resume", chains.resume, ADMIN, "chain"),
    Route("GET HEAD", "/chains/{chain}", chains.read, READ, "chain"),
    Route("GET HEAD", "/followers", followers.read_all, READ, "chain"),
    Route("GET HEAD", "/followers/{follower}/parked", followers.parked, READ, "chain"),
    Route("DELETE", "/followers/{follower}/parked", followers.drop, ADMIN, "chain"),
    Route("POST", "/followers/{follower}/retry", followers.retry, ADMIN, "chain"),
    Route("GET HEAD", "/dlq", dlq.uuids, READ, "dlq"),
    Route("POST", "/dlq/reprocess", dlq.reprocess, ADMIN, "dlq"),
    Route("GET HEAD", "/dead-letters", dead_letters.page, READ, "dlq"),
    Route("DELETE", "/dead-letters", dead_letters.purge, ADMIN, "dlq"),
    Route("POST", "/dead-letters/replay", dead_letters.replay, ADMIN, "dlq"),
    Route("GET HEAD", "/dead-letters/newest", dead_letters.newest, READ, "dlq"),
    Route("GET HEAD", "/dead-letters/{dead_letter}", dead_letters.read, READ, "dlq"),
    Route("DELETE", "/dead-letters/{dead_letter}", dead_letters.drop, ADMIN, "dlq"),
    Route("GET HEAD", "/config", config.read, ADMIN, "config"),
    Route("POST", "/config", config.replace, ADMIN, "config"),
    Route("GET HEAD", "/config/versions", config.versions, ADMIN, "config"),
    Route("GET HEAD", "/config/versions/{version}", config.read_version, ADMIN, "config"),
    Route("POST", "/config/versions/{version}/rollback", config.roll_back, ADMIN, "config"),
    Route("GET POST", "/index_vcons", system.reindex, ADMIN, "config"),
    Route("GET", "/events", events.stream, READ, "chain"),
    Route("GET HEAD", "/stats/queue", lists.stats, STATS, "system"),
    Route("GET HEAD", "/version", system.version, NONE, "system"),
    Route("GET HEAD", "/health", system.health, NONE, "system"),
    Route("GET HEAD", "/ready", system.ready, NONE, "system"),
    Route("GET HEAD", "/metrics", system.metrics, NONE, "system"),
    Route("GET HEAD", "/openapi.json", docs.description, NONE, "system"),
    Route("GET HEAD", "/docs", docs.page, NONE, "system"),
    Route("GET HEAD", "/docs/{asset}", docs.asset, NONE, "system"),
    Route("GET HEAD", "/status", status.page, NONE, "system"),
    Route("GET HEAD", "/status/{asset}", status.asset, NONE, "system"),
)
