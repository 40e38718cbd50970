"""Code that must type-check: the built-in components fit the ports that they are opened as."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vconflow.adapters.clock import SystemClock
    from vconflow.adapters.modules.host import Host, VconDesk
    from vconflow.adapters.modules.link import ModuleLink
    from vconflow.adapters.modules.storage import ModuleStorage
    from vconflow.adapters.modules.threads import Threads
    from vconflow.adapters.redis.backend import RedisBackend
    from vconflow.adapters.storages.file import FileStorage
    from vconflow.adapters.storages.postgres import PostgresStorage
    from vconflow.adapters.tracers.jlinc import JlincTracer
    from vconflow.api import services
    from vconflow.links.delay import DelayLink
    from vconflow.links.expire_vcon import ExpireVconLink
    from vconflow.links.sampler import SamplerLink
    from vconflow.links.tag import TagLink
    from vconflow.links.tag_router import TagRouterLink
    from vconflow.links.webhook import WebhookLink
    from vconflow.pipeline.ingest import Ingest
    from vconflow.pipeline.lookup import Lookup
    from vconflow.ports.clock import Clock
    from vconflow.ports.dead_letters import DeadLetters
    from vconflow.ports.documents import Documents, DocumentSaver
    from vconflow.ports.egress import EgressLists
    from vconflow.ports.intake import Intake
    from vconflow.ports.ledger import Ledger
    from vconflow.ports.link import Link
    from vconflow.ports.modules import ModuleHost, NoModules
    from vconflow.ports.storage import ReadableStorage, Storage
    from vconflow.ports.stream import EntryStream
    from vconflow.ports.tracer import Tracer
    from vconflow.telemetry.otel import OtelSpans
    from vconflow.telemetry.spans import Spans
    from vconflow.testing.memory_storage import MemoryStorage
    from vconflow.testing.memory_tracer import MemoryTracer

    def links(
        tag: TagLink,
        webhook: WebhookLink,
        router: TagRouterLink,
        sampler: SamplerLink,
        expire: ExpireVconLink,
        delay: DelayLink,
    ) -> list[Link]:
        return [tag, webhook, router, sampler, expire, delay]

    def storages(
        file: FileStorage, postgres: PostgresStorage, memory: MemoryStorage
    ) -> tuple[list[Storage], list[ReadableStorage]]:
        return [file, postgres, memory], [file, postgres, memory]

    def tracers(jlinc: JlincTracer, memory: MemoryTracer) -> list[Tracer]:
        return [jlinc, memory]

    def spans(otel: OtelSpans) -> Spans:
        return otel

    def modules(
        threads: Threads, desk: VconDesk, link: ModuleLink, storage: ModuleStorage
    ) -> tuple[list[ModuleHost], Link, Storage]:
        return [Host(threads, desk), NoModules()], link, storage

    def backend(
        redis: RedisBackend,
    ) -> tuple[Intake, Documents, Ledger, EntryStream, EgressLists, DeadLetters]:
        return (
            redis.intake,
            redis.documents,
            redis.ledger,
            redis.stream,
            redis.egress,
            redis.dead_letters,
        )

    def ways_in(
        ingest: Ingest, lookup: Lookup
    ) -> tuple[DocumentSaver, services.Ingest, services.Lookup]:
        return ingest, ingest, lookup

    def clock(system: SystemClock) -> Clock:
        return system
