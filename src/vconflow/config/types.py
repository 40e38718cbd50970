"""The configuration as the rest of vconflow sees it: typed, checked, immutable.

Every duration is in seconds.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from vconflow.errors import Problem
from vconflow.ports.access import AccessRules
from vconflow.ports.component import Options, Secret

__all__ = [
    "BatchConfig",
    "ChainConfig",
    "Config",
    "FollowerConfig",
    "ImportConfig",
    "LinkConfig",
    "RetryConfig",
    "StorageConfig",
    "TracerConfig",
]

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class RetryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How often a failed step is tried: `attempts` counts the first try."""

    attempts: Annotated[Count, Meta(description="Tries altogether, the first one included.")] = 5
    base: Annotated[Positive, Meta(description="Longest wait in seconds after the first.")] = 1.0
    max: Annotated[Positive, Meta(description="Longest wait in seconds ever.")] = 300.0


class BatchConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How vCons are gathered for one write to a storage."""

    items: Annotated[Count, Meta(description="Most vCons in one write.")] = 64
    bytes: Annotated[Count, Meta(description="Most bytes in one write.")] = 16 * 1024 * 1024
    parallel: Annotated[Count, Meta(description="Writes under way at the same time.")] = 2


class _Component(msgspec.Struct, frozen=True, kw_only=True):
    """A configured component.

    `target` is the class as `package.module:Class`, for `registry.load`. When this version has no
    such component, `unbuilt` says so, `target` is empty and `options` is None.
    """

    name: str
    module: str
    target: str = ""
    options: Options | None = None
    timeout: float = 60.0
    retry: RetryConfig = RetryConfig()
    unbuilt: str | None = None


class LinkConfig(_Component, frozen=True, kw_only=True):
    """One link; `timeout` is for one attempt on one vCon."""


class StorageConfig(_Component, frozen=True, kw_only=True):
    """One storage; `timeout` is for one write of a batch."""

    batch: BatchConfig = BatchConfig()


class TracerConfig(_Component, frozen=True, kw_only=True):
    """One tracer; `timeout` is for one step of one vCon."""

    timeout: float = 10.0


class ChainConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One chain: names of its links in order, its storages, lists and tracers.

    `concurrency` is how many of its vCons are under way at once, None for the process's default.
    `timeout` is for all links of one attempt. `held` says why an enabled chain does not run: it
    accepts and keeps vCons in its lists until a version with the missing component starts.
    """

    name: str
    links: tuple[str, ...] = ()
    storages: tuple[str, ...] = ()
    ingress_lists: tuple[str, ...] = ()
    egress_lists: tuple[str, ...] = ()
    enabled: bool = True
    concurrency: int | None = None
    timeout: float | None = None
    tracers: tuple[str, ...] = ()
    held: str | None = None


class ImportConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A module to import at start, and the package it comes from when that is not its name."""

    module: Annotated[str, Meta(description="The module, `package.module`.")]
    pip_name: Annotated[
        str | None, Meta(description="The package that `vconflow install` installs for it.")
    ] = None


class FollowerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Another server whose egress list is pulled into a list here."""

    url: Annotated[str, Meta(description="The other server, with or without `/api`.")]
    egress_list: Annotated[str, Meta(description="The list that is pulled, over there.")]
    follower_ingress_list: Annotated[
        str, Meta(description="The list here; an enabled chain has to read it.")
    ]
    auth_token: Annotated[
        Secret | None, Meta(description="Its API key, sent as `x-conserver-api-token`.")
    ] = None
    pulling_interval: Annotated[
        Positive, Meta(description="Seconds until the next pull, after one that was not full.")
    ] = 60.0
    fetch_vcon_limit: Annotated[
        Count, Meta(description="Ids in one pull; more than 10,000 count as 10,000.")
    ] = 1


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration without errors.

    `raw` is the document as written, `${NAME}` unexpanded; `version` is a short hash of it, the
    same for the same content. `access` holds the sections `api_keys` and `ingress_auth`.
    `warnings` names what is not built yet, what is held and what is ignored.
    """

    links: dict[str, LinkConfig]
    storages: dict[str, StorageConfig]
    chains: dict[str, ChainConfig]
    tracers: dict[str, TracerConfig]
    imports: dict[str, ImportConfig]
    access: AccessRules = AccessRules()
    followers: dict[str, FollowerConfig]
    raw: dict[str, Any]
    version: str
    warnings: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        # `raw` holds credentials.
        return f"Config(version={self.version!r}, chains={list(self.chains)})"
