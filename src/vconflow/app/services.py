"""What the HTTP layer is given, out of what is open."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vconflow import __version__
from vconflow.adapters.redis.backend import RedisBackend
from vconflow.api import Build, ChainInfo, Services, Topology
from vconflow.app.readiness import Readiness
from vconflow.live_config import LiveConfig
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.event_feed import EventFeed
from vconflow.pipeline.followers import Followers
from vconflow.pipeline.ingest import Ingest
from vconflow.pipeline.lookup import Lookup
from vconflow.pipeline.replica import Replica
from vconflow.pipeline.semantic_search import SemanticSearch
from vconflow.settings import Settings
from vconflow.site import Site
from vconflow.telemetry.audit import AuditLog
from vconflow.telemetry.spans import Spans

__all__ = ["Opened", "services_of"]


@dataclass(frozen=True)
class Opened:
    """Everything that the HTTP layer can reach, open and running."""

    settings: Settings
    audit: AuditLog
    backend: RedisBackend
    replica: Replica
    ingest: Ingest
    lookup: Lookup
    site: Site
    events: EventFeed
    configuration: LiveConfig
    followers: Followers
    readiness: Readiness
    metrics: Callable[[], Awaitable[bytes]]
    spans: Spans | None = None


def services_of(it: Opened) -> Services:
    """The same by the names that the HTTP layer knows; what changes is asked for each time."""
    settings, backend = it.settings, it.backend
    return Services(
        settings=settings,
        ingest=it.ingest,
        lookup=it.lookup,
        documents=backend.documents,
        semantic_search=SemanticSearch(lambda: it.replica.fanout),
        egress=backend.egress,
        dead_letters=backend.dead_letters,
        configuration=it.configuration,
        chains=it.site,
        history=backend.history,
        events=it.events,
        followers=lambda: it.followers,
        topology=lambda: _topology(it.replica.chains),
        readiness=it.readiness,
        metrics=it.metrics,
        stopping=lambda: it.replica.stopping,
        access=lambda: it.site.config.access,
        audit=it.audit,
        spans=it.spans,
        build=Build(__version__, settings.vconflow_commit, settings.vconflow_build_time),
    )


def _topology(chains: Chains) -> Topology:
    return Topology(
        chains={
            name: ChainInfo(tuple(chain.lists), tuple(chain.egress))
            for name, chain in chains.by_name.items()
        },
        feeds={name: chain.name for name, chain in chains.by_list.items()},
        lists=frozenset(chains.all_lists),
    )
