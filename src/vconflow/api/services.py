"""What the HTTP layer is given. It never learns what stands behind these Protocols."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import msgspec

from vconflow.api.memory import Memory
from vconflow.pipeline.event_feed import EventFeed
from vconflow.ports.access import AccessRules
from vconflow.ports.chain_control import ChainControl
from vconflow.ports.component import Secret
from vconflow.ports.config_store import ConfigVersion
from vconflow.ports.dead_letters import DeadLetters
from vconflow.ports.documents import Document, Documents
from vconflow.ports.egress import EgressLists
from vconflow.ports.follow import FollowerControl
from vconflow.ports.history import History
from vconflow.ports.semantic_index import SemanticIndex
from vconflow.telemetry.audit import AuditLog
from vconflow.telemetry.metrics import own_metrics
from vconflow.telemetry.spans import Spans

__all__ = [
    "Build",
    "ChainInfo",
    "Configuration",
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
    def vconflow_max_bodies_bytes(self) -> int: ...
    @property
    def vconflow_public_stats(self) -> bool: ...
    @property
    def vconflow_egress_lease_seconds(self) -> float: ...
    @property
    def vconflow_cors_origins(self) -> Sequence[str]: ...
    @property
    def vconflow_rate_limit(self) -> float: ...
    @property
    def vconflow_rate_burst(self) -> int: ...
    @property
    def vconflow_failed_logins(self) -> int: ...


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
        idempotency_key: str = "",
        exclusive: bool = False,
    ) -> AcceptedVcon:
        """Validate, store and enqueue; see `ports.intake.Acceptance` for `expect_rev`.

        `exclusive` refuses a vCon that another owner stored; `api.idempotency` reads the key.
        Raises InvalidVcon, NotFound, Conflict, RevisionMismatch, Overloaded or Unavailable.
        """
        ...

    async def submit(
        self,
        document: bytes,
        lists: tuple[str, ...],
        *,
        source: str,
        owner: str = "",
        trace: str = "",
        idempotency_key: str = "",
    ) -> Awaitable[AcceptedVcon]:
        """Do as `accept`, but return once the vCon has its place behind those submitted before."""
        ...

    async def enqueue(
        self,
        uuids: Sequence[str],
        list_name: str,
        *,
        owner: str = "",
        trace: str = "",
        idempotency_key: str = "",
    ) -> int:
        """Put stored vCons on a list; how many were skipped because nobody has them.

        Raises NotFound, Conflict, Retryable.
        """
        ...


class DeletionReport(Protocol):
    """What a deletion came to: whether a copy was found, which storages are done, and which failed
    and why.
    """

    @property
    def found(self) -> bool: ...
    @property
    def done(self) -> Sequence[str]: ...
    @property
    def failed(self) -> Mapping[str, str]: ...


class Lookup(Protocol):
    """Documents from Redis or, when they have left it, from the readable storages."""

    async def get(self, uuid: str) -> bytes | None: ...

    async def revision(self, uuid: str) -> Document: ...

    async def delete(self, uuid: str) -> DeletionReport: ...


class Configuration(Protocol):
    """The configuration in force: shown without its secrets, changed, and rolled back.

    A document is the content of a configuration file as JSON. Changes take effect in this replica
    before the call returns, and in the others soon after. They raise ConfigError with every
    problem and its place, Conflict when somebody else was faster, RevisionMismatch when `expected`
    is not the serial of the current version, or Unavailable.
    """

    @property
    def serial(self) -> int:
        """The serial of the version in force, 0 before there is any."""
        ...

    async def shown(self) -> tuple[int, dict[str, Any]]:
        """The serial of the version in force, and its masked document."""
        ...

    async def replace(
        self, document: Any, *, by: str, comment: str = "", expected: int | None = None
    ) -> ConfigVersion:
        """Make a document the configuration; a masked value in it keeps the stored secret."""
        ...

    async def versions(self) -> Sequence[ConfigVersion]:
        """What is kept, the newest first."""
        ...

    async def version(self, serial: int) -> dict[str, Any]:
        """The masked document of a version. Raises NotFound."""
        ...

    async def roll_back(
        self, serial: int, *, by: str, comment: str = "", expected: int | None = None
    ) -> ConfigVersion:
        """Make an earlier version the configuration again, as a new one. Raises NotFound."""
        ...


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


_NO_RULES = AccessRules()


@dataclass(frozen=True)
class Services:
    """Everything a handler may use. `stopping` is true from the first signal to stop."""

    settings: HttpSettings
    ingest: Ingest
    lookup: Lookup
    documents: Documents
    semantic_search: SemanticIndex
    egress: EgressLists
    dead_letters: DeadLetters
    configuration: Configuration
    chains: ChainControl
    history: History
    events: EventFeed
    followers: Callable[[], FollowerControl]
    topology: Callable[[], Topology]
    readiness: Callable[[], Awaitable[Sequence[Dependency]]]
    metrics: Callable[[], Awaitable[bytes]] = field(default=own_metrics)
    """All metrics as Prometheus text, also those of other replicas on the same port."""
    stopping: Callable[[], bool] = field(default=lambda: False)
    access: Callable[[], AccessRules] = field(default=lambda: _NO_RULES)
    """The rules in force; another object whenever they may have changed."""
    audit: AuditLog = field(default_factory=AuditLog)
    spans: Spans | None = None
    build: Build = field(default_factory=lambda: Build("0"))

    @cached_property
    def bodies(self) -> Memory:
        """What the bodies of requests under way hold."""
        return Memory(self.settings.vconflow_max_bodies_bytes, "bodies")

    @cached_property
    def answers(self) -> Memory:
        """What answers that are not sent yet hold."""
        return Memory(self.settings.vconflow_max_bodies_bytes, "answers")
