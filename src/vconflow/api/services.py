"""What the HTTP layer is given. It never learns what stands behind these Protocols."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from vconflow.ports.component import Secret
from vconflow.ports.dead_letters import DeadLetters
from vconflow.ports.documents import Document, Documents
from vconflow.ports.egress import EgressLists

__all__ = [
    "Build",
    "ChainInfo",
    "Dependency",
    "HttpSettings",
    "Ingest",
    "Lookup",
    "Services",
    "Topology",
]


class HttpSettings(Protocol):
    """The settings that shape the HTTP layer; the process's settings have these and more."""

    @property
    def api_root_path(self) -> str: ...
    @property
    def conserver_header_name(self) -> str: ...
    @property
    def conserver_api_token(self) -> Secret | None: ...
    @property
    def conserver_api_token_file(self) -> Path | str | None: ...
    @property
    def vconflow_max_body_bytes(self) -> int: ...
    @property
    def vconflow_public_stats(self) -> bool: ...
    @property
    def vconflow_cors_origins(self) -> Sequence[str]: ...


class AcceptedVcon(Protocol):
    """What accepting gave: the canonical uuid and the revision now stored."""

    @property
    def uuid(self) -> str: ...
    @property
    def rev(self) -> int: ...


class Ingest(Protocol):
    """The way in."""

    async def accept(
        self,
        document: bytes,
        lists: tuple[str, ...],
        *,
        source: str = "http",
        owner: str = "",
        trace: str = "",
        expect_uuid: str | None = None,
        expect_rev: int | None = None,
    ) -> AcceptedVcon:
        """Validate, store and enqueue; see `ports.intake.Acceptance` for `expect_rev`.

        Raises InvalidVcon, NotFound, RevisionMismatch, Overloaded or Unavailable.
        """
        ...

    async def enqueue(self, uuids: Sequence[str], list_name: str) -> int:
        """Put stored vCons on a list; how many were skipped because nobody has them."""
        ...


class DeletionReport(Protocol):
    """What a deletion came to: whether a copy was found, and which storages failed and why."""

    @property
    def found(self) -> bool: ...
    @property
    def failed(self) -> Mapping[str, str]: ...


class Lookup(Protocol):
    """Documents from Redis or, when they have left it, from the readable storages."""

    async def get(self, uuid: str) -> bytes | None: ...

    async def get_many(self, uuids: Sequence[str]) -> Sequence[bytes | None]: ...

    async def revision(self, uuid: str) -> Document: ...

    async def delete(self, uuid: str) -> DeletionReport: ...


@dataclass(frozen=True)
class ChainInfo:
    """The lists of one chain, in configured order."""

    ingress_lists: tuple[str, ...]
    egress_lists: tuple[str, ...]


@dataclass(frozen=True)
class Topology:
    """Which lists exist and what they feed, as configured now.

    `feeds` maps every ingress list to the name of its chain; `lists` holds every configured list.
    """

    chains: Mapping[str, ChainInfo]
    feeds: Mapping[str, str]
    lists: frozenset[str]


class Dependency(msgspec.Struct, frozen=True):
    """The state of one thing the process uses; `ms` is how long its check took.

    Without one that is `required` nothing can be accepted.
    """

    name: str
    ok: bool
    ms: float
    error: str = ""
    required: bool = True


@dataclass(frozen=True)
class Build:
    """What is running."""

    version: str
    commit: str = "unknown"
    build_time: str = "unknown"


@dataclass(frozen=True)
class Services:
    """Everything a handler may use. `stopping` is true from the first signal to stop."""

    settings: HttpSettings
    ingest: Ingest
    lookup: Lookup
    documents: Documents
    egress: EgressLists
    dead_letters: DeadLetters
    masked_config: Callable[[], dict[str, Any]]
    topology: Callable[[], Topology]
    readiness: Callable[[], Awaitable[Sequence[Dependency]]]
    stopping: Callable[[], bool] = field(default=lambda: False)
    build: Build = field(default_factory=lambda: Build("0"))
