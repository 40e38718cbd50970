"""Following other servers, wired: configuration, HTTP, Redis and the way in."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from vconflow.adapters.follow import open_remotes
from vconflow.adapters.redis.backend import RedisBackend
from vconflow.api import Dependency
from vconflow.config import Config
from vconflow.pipeline.follow_page import Accepting
from vconflow.pipeline.followers import Followers, following
from vconflow.ports.clock import Clock
from vconflow.ports.follow import Follow
from vconflow.settings import Settings
from vconflow.site.site import Site

__all__ = ["dependencies", "open_followers"]


@asynccontextmanager
async def open_followers(
    site: Site,
    settings: Settings,
    backend: RedisBackend,
    ingest: Accepting,
    clock: Clock,
    stopping: Callable[[], bool],
) -> AsyncIterator[Followers]:
    """Follow whom the configuration in force names, until `stopping` or the context ends."""
    remotes = open_remotes(
        header=settings.conserver_header_name, most_bytes=settings.vconflow_max_body_bytes
    )
    async with remotes as connect:
        lease = settings.vconflow_lease_seconds
        journal = backend.follow_journal
        followers = Followers(connect, journal, ingest, clock, stopping, lease=lease)

        def configure(config: Config) -> None:
            followers.configure(_follows(config))

        configure(site.config)
        site.on_applied.append(configure)
        async with following(followers):
            yield followers


def dependencies(followers: Followers) -> list[Dependency]:
    """The servers that this replica follows, for /ready."""
    return [
        Dependency(f"follower:{name}", not state.error, 0.0, state.error, required=False)
        for name, state in followers.states.items()
    ]


def _follows(config: Config) -> list[Follow]:
    chains = [chain for chain in config.chains.values() if chain.enabled]
    read = {name for chain in chains for name in chain.ingress_lists}
    return [
        Follow(
            name=name,
            url=follower.url,
            egress_list=follower.egress_list,
            into=follower.follower_ingress_list,
            auth_token=follower.auth_token,
            interval=follower.pulling_interval,
            limit=follower.fetch_vcon_limit,
            is_read=follower.follower_ingress_list in read,
        )
        for name, follower in config.followers.items()
    ]
