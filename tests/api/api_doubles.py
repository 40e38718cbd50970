"""Small in-memory versions of what the HTTP layer is given, and a real server around it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.types import ASGIApp

from vconflow.adapters.clock import SystemClock
from vconflow.api import Build, ChainInfo, Dependency, Services, Topology
from vconflow.config import Config, parse
from vconflow.errors import Conflict, InvalidVcon, NotFound, Problem, RevisionMismatch
from vconflow.live_config import LiveConfig
from vconflow.model.entry import Entry
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import Facts, validate
from vconflow.pipeline.event_feed import EventFeed
from vconflow.ports.access import AccessRules
from vconflow.ports.chain_control import ChainLink, ChainStatus, ListStatus
from vconflow.ports.component import Secret
from vconflow.ports.dead_letters import DeadLetter
from vconflow.ports.documents import Document, Search
from vconflow.ports.follow import FollowerStatus, Parked
from vconflow.ports.history import HistoryRecord
from vconflow.ports.semantic_index import SemanticHit
from vconflow.telemetry.audit import AuditLog
from vconflow.testing.event_channel import EventChannel
from vconflow.testing.memory.config_store import MemoryConfigStore
from vconflow.testing.memory.dead_letters import MemoryDeadLetters
from vconflow.testing.memory.history import Journal
from vconflow.testing.memory.lists import Buried
from vconflow.testing.memory.store import Store
from vconflow.testing.memory.vcons import Expiries

TOKEN = "the-right-key"
KEY = {"x-conserver-api-token": TOKEN}

TOPOLOGY = Topology(
    chains={
        "main": ChainInfo(ingress_lists=("inbox", "second"), egress_lists=("out", "later")),
        "silent": ChainInfo(ingress_lists=("quiet",), egress_lists=()),
        "source": ChainInfo(ingress_lists=(), egress_lists=("inbox",)),
    },
    feeds={"inbox": "main", "second": "main", "quiet": "silent"},
    lists=frozenset({"inbox", "second", "quiet", "out", "later"}),
)


def make_vcon(uuid: str | None = None, **members: Any) -> bytes:
    """A valid vCon with spaces and an order of members that only exact bytes keep."""
    vcon = {
        "vcon": "0.0.1",
        "uuid": uuid or new_uuid("test"),
        "created_at": "2024-05-06T07:08:09+00:00",
        "parties": [{"tel": "+15551234", "mailto": "ann@example.org", "name": "Ann"}],
        "dialog": [],
        "analysis": [],
        "attachments": [],
        **members,
    }
    return json.dumps(vcon, indent=1).encode()


def uuid_of(document: bytes) -> str:
    return str(json.loads(document)["uuid"])


@dataclass
class Settings:
    """The settings of the HTTP layer with the defaults of the process."""

    api_root_path: str = "/api"
    conserver_header_name: str = "x-conserver-api-token"
    conserver_api_token: Secret | None = field(default_factory=lambda: Secret(TOKEN))
    conserver_api_token_file: str | None = None
    vconflow_max_body_bytes: int = 1_000_000
    vconflow_max_bodies_bytes: int = 16_000_000
    vconflow_public_stats: bool = True
    vconflow_cors_origins: tuple[str, ...] = ()
    vconflow_egress_lease_seconds: float = 60.0
    vconflow_rate_limit: float = 0.0
    vconflow_rate_burst: int = 0
    vconflow_failed_logins: int = 300


class Accepted(msgspec.Struct, frozen=True):
    uuid: str
    rev: int


class Deletion(msgspec.Struct, frozen=True):
    found: bool
    done: tuple[str, ...]
    failed: dict[str, str]


class Core:
    """Ingest, lookup and documents over one dictionary."""

    def __init__(self) -> None:
        self.held: dict[str, Document] = {}
        self.facts: dict[str, Facts] = {}
        self.owners: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.accepted: list[dict[str, Any]] = []
        self.enqueued: list[dict[str, Any]] = []
        self.failing_storages: dict[str, str] = {}
        self.error: Exception | None = None
        self.refused = 0
        self.under_way = 0
        self.most_under_way = 0
        self.gate: asyncio.Event | None = None

    def _check(self) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error

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
    ) -> Accepted:
        self._check()
        for name in lists:
            if name not in TOPOLOGY.feeds:
                raise NotFound(f"Ingress list '{name}' is not configured")
        facts = validate(document)
        if expect_uuid is not None and facts.uuid != expect_uuid:
            raise InvalidVcon([Problem(("uuid",), "is not the uuid of the address", "mismatch")])
        if exclusive and self.owners.get(facts.uuid, owner) != owner:
            raise Conflict("The vCon was stored by somebody else")
        self.owners[facts.uuid] = owner
        await self._write()
        rev = self.held[facts.uuid].rev if facts.uuid in self.held else 0
        if expect_rev and expect_rev != rev:
            raise RevisionMismatch("the vCon has another revision")
        self.held[facts.uuid] = Document(document, rev + 1)
        self.facts[facts.uuid] = facts
        for name in lists:
            self.lists.setdefault(name, []).append(facts.uuid)
        asked = {"source": source, "owner": owner, "trace": trace, "lists": lists}
        self.accepted.append({**asked, "key": idempotency_key, "exclusive": exclusive})
        return Accepted(facts.uuid, rev + 1)

    async def submit(
        self, document: bytes, lists: tuple[str, ...], **asked: Any
    ) -> asyncio.Future[Accepted]:
        self._check()
        return asyncio.ensure_future(self.accept(document, lists, **asked))

    async def _write(self) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
        finally:
            self.under_way -= 1

    async def enqueue(
        self,
        uuids: Sequence[str],
        list_name: str,
        *,
        owner: str = "",
        trace: str = "",
        idempotency_key: str = "",
    ) -> int:
        self._check()
        self.enqueued.append({"owner": owner, "trace": trace, "key": idempotency_key})
        if list_name not in TOPOLOGY.feeds:
            raise NotFound(f"Ingress list '{list_name}' is not configured")
        found = [uuid for uuid in uuids if uuid in self.held]
        self.lists.setdefault(list_name, []).extend(found)
        return len(uuids) - len(found)

    async def get(self, uuid: str) -> bytes | None:
        self._check()
        return self.held[uuid].document if uuid in self.held else None

    async def revision(self, uuid: str) -> Document:
        self._check()
        return self.held.get(uuid, Document(None, 0))

    # Both Lookup and Documents delete; only Lookup's is used over HTTP.
    async def delete(self, uuid: str, facts: Facts | None = None) -> Any:
        self._check()
        found = self.held.pop(uuid, None) is not None
        return Deletion(found, ("files",), self.failing_storages)

    async def fetch(self, uuids: Sequence[str]) -> list[Document]:
        return [await self.revision(uuid) for uuid in uuids]

    async def recache(self, uuid: str, document: bytes, facts: Facts) -> None:
        self.held[uuid] = Document(document, 1)

    async def page(
        self, *, offset: int, limit: int, since: float | None, until: float | None
    ) -> list[str]:
        self._check()
        found = [
            (facts.created_at, uuid)
            for uuid, facts in self.facts.items()
            if (since is None or facts.created_at >= since)
            and (until is None or facts.created_at <= until)
        ]
        return [uuid for _, uuid in sorted(found, reverse=True)][offset : offset + limit]

    async def search(self, query: Search) -> list[str]:
        return [
            uuid
            for uuid, facts in self.facts.items()
            if (query.tel is None or query.tel in facts.tels)
            and (query.mailto is None or query.mailto in facts.mailtos)
            and (query.name is None or query.name in facts.names)
        ]

    async def forget(self, uuid: str) -> None:
        self.facts.pop(uuid, None)

    async def reindex(self) -> int:
        return len(self.held)


class Meanings:
    """Finds what it is told to."""

    def __init__(self) -> None:
        self.hits: list[SemanticHit] = []
        self.asked: list[tuple[str, int]] = []
        self.error: Exception | None = None

    async def search(self, text: str, limit: int) -> list[SemanticHit]:
        self.asked.append((text, limit))
        if self.error is not None:
            raise self.error
        return self.hits[:limit]


class Egress:
    """Leases over plain lists."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Entry]] = {}
        self.leased: list[Entry] = []
        self.acked: list[Entry] = []
        self.lease_gate: asyncio.Event | None = None
        self.ack_gate: asyncio.Event | None = None
        self.leasing = asyncio.Event()
        self.settled = asyncio.Event()
        self.settle_error: Exception | None = None

    def fill(self, list_name: str, uuids: Sequence[str]) -> None:
        self.waiting[list_name] = [
            Entry(f"{number}-0", list_name, uuid, at=0) for number, uuid in enumerate(uuids)
        ]

    async def lease(self, list_name: str, count: int, seconds: float | None = None) -> list[Entry]:
        self.leasing.set()
        if self.lease_gate is not None:
            await self.lease_gate.wait()
        waiting = self.waiting.get(list_name, [])
        taken, self.waiting[list_name] = waiting[:count], waiting[count:]
        self.leased += taken
        return taken

    async def ack(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        self.settled.set()
        if self.ack_gate is not None:
            await self.ack_gate.wait()
        if self.settle_error is not None:
            raise self.settle_error
        self.acked += entries
        self.leased = [entry for entry in self.leased if entry not in entries]
        return [entry.lease_id for entry in entries]

    async def give_back(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        self.waiting[list_name] = [*entries, *self.waiting[list_name]]
        self.leased = [entry for entry in self.leased if entry not in entries]
        self.settled.set()
        return [entry.lease_id for entry in entries]

    async def find(self, list_name: str, lease_ids: Sequence[str]) -> list[Entry]:
        return [entry for entry in self.leased if entry.lease_id in lease_ids]

    async def extend(self, list_name: str, entries: Sequence[Entry], seconds: float) -> list[str]:
        return [entry.lease_id for entry in entries if entry in self.leased]

    async def depth(self, list_name: str) -> int:
        return len(self.waiting.get(list_name, []))


class Dead(MemoryDeadLetters):
    """Dead letters in memory; with `dies_again` all that is replayed dies at once."""

    def __init__(self) -> None:
        store = Store(SystemClock())
        super().__init__(store, Journal(store, "", 0), Expiries(0, 0))
        self.replayed: list[str] = []
        self.from_start: list[bool] = []
        self.dies_again = False
        self._now = 1_700_000_000_000

    def fill(self, list_name: str, uuids: Sequence[str], **values: Any) -> None:
        """Add dead letters: of the chain `main` at the link `x`, if `values` do not say more."""
        dead = self._store.dead_list(list_name)
        reason = {"stage": "link:x", "error_type": "Boom", "error": "it broke", **values}
        for uuid in uuids:
            letter = DeadLetter(
                id=dead.ids.next(self._now),
                list=list_name,
                uuid=uuid,
                attempts=3,
                first_failure=1_699_999_000_000,
                last_failure=1_700_000_000_000,
                at=1_699_998_000_000,
                **{"chain": "main", **reason},
            )
            dead.letters[letter.id] = Buried(letter, "1-0", 1, b"")
        self._now += 1

    def left(self, list_name: str) -> list[str]:
        return [held.letter.uuid for held in self._store.dead_list(list_name).letters.values()]

    async def replay(self, list_name: str, ids: Sequence[str], *, from_start: bool = False) -> int:
        letters = await self.find(list_name, ids)
        self.replayed += [letter.uuid for letter in letters]
        self.from_start += [from_start] * len(letters)
        moved = await super().replay(list_name, ids, from_start=from_start)
        if self.dies_again:
            self.fill(list_name, [letter.uuid for letter in letters])
        return moved


class ChainsDouble:
    """Two chains that can be paused."""

    def __init__(self) -> None:
        self.paused: set[str] = set()
        self.error: Exception | None = None

    def _status(self, name: str) -> ChainStatus:
        lists = TOPOLOGY.chains[name].ingress_lists
        return ChainStatus(
            name=name,
            enabled=True,
            paused=name in self.paused,
            links=(ChainLink("mark", "links.tag"),),
            storages=("pg",),
            ingress_lists=lists,
            egress_lists=TOPOLOGY.chains[name].egress_lists,
            lists={name: ListStatus(3, 1, 0, 2.5) for name in lists},
            depth=3 * len(lists),
            oldest_seconds=2.5,
            pending=len(lists),
            dead=0,
            in_flight=1,
            retrying=0,
            rate=0.5,
            replica="one",
        )

    async def chains(self) -> list[ChainStatus]:
        return [self._status(name) for name in TOPOLOGY.chains]

    async def chain(self, name: str) -> ChainStatus:
        if self.error is not None:
            raise self.error
        if name not in TOPOLOGY.chains:
            raise NotFound(f"Chain '{name}' is not configured")
        return self._status(name)

    async def pause(self, name: str) -> None:
        await self.chain(name)
        self.paused.add(name)

    async def resume(self, name: str) -> None:
        await self.chain(name)
        self.paused.discard(name)


class FollowersDouble:
    """One follower, `upstream`, with ids that it has parked."""

    def __init__(self) -> None:
        self.ids = [Parked("1-0", "no uuid", "not_a_uuid", "it is none", 1_700_000_000.0)]

    async def followers(self) -> list[FollowerStatus]:
        return [FollowerStatus("upstream", "out", "in", True, "", 0, len(self.ids))]

    async def parked(self, name: str, count: int) -> list[Parked]:
        if name != "upstream":
            raise NotFound(f"Follower '{name}' is not configured")
        return self.ids[:count]

    async def retry(self, name: str) -> int:
        return await self.drop(name)

    async def drop(self, name: str) -> int:
        moved = len(await self.parked(name, len(self.ids)))
        self.ids = []
        return moved


class Remembered:
    """The history of vCons, by uuid."""

    def __init__(self) -> None:
        self.records: dict[str, list[HistoryRecord]] = {}

    async def of(self, uuid: str) -> list[HistoryRecord]:
        return self.records.get(uuid, [])


CONFIG = """
storages:
  pg: {module: storage.postgres, options: {host: db.example, password: s3cret}}
chains:
  main: {ingress_lists: [inbox, second], storages: [pg], egress_lists: [out, later]}
"""


class SiteDouble:
    """Runs by whatever it is told to; `refusal` is raised instead."""

    def __init__(self) -> None:
        self.config: Config = parse(CONFIG, {})
        self.refusal: Exception | None = None

    async def apply(
        self, config: Config, confirm: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        if confirm is not None:
            await confirm()
        self.config = config


@dataclass
class World:
    """Everything behind one application, to be arranged and looked at by a test."""

    settings: Settings = field(default_factory=Settings)
    core: Core = field(default_factory=Core)
    meanings: Meanings = field(default_factory=Meanings)
    egress: Egress = field(default_factory=Egress)
    dead: Dead = field(default_factory=Dead)
    chains: ChainsDouble = field(default_factory=ChainsDouble)
    followers: FollowersDouble = field(default_factory=FollowersDouble)
    history: Remembered = field(default_factory=Remembered)
    channel: EventChannel = field(default_factory=EventChannel)
    listeners: int = 3
    dependencies: list[Dependency] = field(
        default_factory=lambda: [Dependency("redis", ok=True, ms=0.4)]
    )
    stopping: bool = False
    access: AccessRules = field(default_factory=AccessRules)
    audit: AuditLog = field(default_factory=AuditLog)
    site: SiteDouble = field(default_factory=SiteDouble)
    config_store: MemoryConfigStore = field(
        default_factory=lambda: MemoryConfigStore(lambda: 1_700_000_000_000)
    )

    def __post_init__(self) -> None:
        self.feed = EventFeed(self.channel, SystemClock(), self.listeners)

    @cached_property
    def configuration(self) -> LiveConfig:
        return LiveConfig(self.site, self.config_store, {}, data_dir=Path("data"))

    def services(self) -> Services:
        async def readiness() -> list[Dependency]:
            return self.dependencies

        return Services(
            settings=self.settings,
            ingest=self.core,
            lookup=self.core,
            documents=self.core,
            semantic_search=self.meanings,
            egress=self.egress,
            dead_letters=self.dead,
            chains=self.chains,
            followers=lambda: self.followers,
            history=self.history,
            events=self.feed,
            configuration=self.configuration,
            topology=lambda: TOPOLOGY,
            readiness=readiness,
            stopping=lambda: self.stopping,
            access=lambda: self.access,
            audit=self.audit,
            build=Build("1.2.3", "abc123", "2026-01-02"),
        )


@asynccontextmanager
async def served(app: ASGIApp, prepare: Callable[[socket.socket], None]) -> AsyncIterator[int]:
    """Serve on a free loopback port as the process does; yield the port."""
    listener = socket.socket()
    prepare(listener)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, loop="none", http="httptools", lifespan="off", access_log=False, log_config=None
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        listener.close()
