"""One vCon into four real storages at once, beside the slowest of them and beside their sum."""

import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.harness.documents import fresh
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from vconflow.adapters.clock import SystemClock
from vconflow.adapters.objects import S3Objects
from vconflow.adapters.providers import open_providers
from vconflow.adapters.storages.file import FileOptions, FileStorage
from vconflow.adapters.storages.milvus import MilvusStorage
from vconflow.adapters.storages.milvus_options import MilvusOptions
from vconflow.adapters.storages.postgres import PostgresOptions, PostgresStorage
from vconflow.adapters.storages.s3 import S3Storage
from vconflow.adapters.storages.s3_options import S3Options
from vconflow.model.entry import StoredVcon
from vconflow.pipeline.fanout import Fanout, StorageUnit
from vconflow.ports.component import Secret
from vconflow.testing import servers
from vconflow.testing.contracts import resources_for

__all__ = ["run"]

SLOWEST = "the slowest of them alone"
SUM = "one after the other"
TARGET = Target(1.0, at_most=True)
NAMES = ("file", "postgres", "s3", "milvus")


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow, in this process: milliseconds per vCon, one vCon at a time."""
    async with _open() as fanout:
        for name in NAMES:  # tables, collections and connections are made by the first one
            await _store(fanout, [name], 0.0)
        alone = {name: (await _store(fanout, [name], options.seconds)).value for name in NAMES}
        slowest = max(alone, key=lambda name: alone[name])
        at_once = partial(_store, fanout, NAMES)
        limits = (
            Limit(SLOWEST, partial(_store, fanout, [slowest]), label="slowest"),
            Limit(SUM, partial(_one_by_one, fanout), TARGET, label="sum"),
        )
        said = ", ".join(f"{name} {alone[name]:.1f}" for name in NAMES)
        async for figure in compare("storages", at_once, *limits, options=options, unit="ms"):
            yield msgspec.structs.replace(figure, note=f"alone: {said} ms")


async def _store(fanout: Fanout, names: Sequence[str], seconds: float) -> Sample:
    started, count = time.perf_counter(), 0
    while not count or time.perf_counter() - started < seconds:
        failures = await fanout.store(_vcon(), names)
        assert not failures, failures
        count += 1
    return Sample((time.perf_counter() - started) * 1000 / count)


async def _one_by_one(fanout: Fanout, seconds: float) -> Sample:
    started, count = time.perf_counter(), 0
    while not count or time.perf_counter() - started < seconds:
        vcon = _vcon()
        for name in NAMES:
            assert not await fanout.store(vcon, [name])
        count += 1
    return Sample((time.perf_counter() - started) * 1000 / count)


def _vcon() -> StoredVcon:
    ((uuid, document),) = fresh(1)
    return StoredVcon(uuid=uuid, rev=1, document=document, created_at=time.time())


@asynccontextmanager
async def _open() -> AsyncIterator[Fanout]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vcf-bench-")))
        postgres, milvus = await enter(servers.postgres()), await enter(servers.milvus())
        s3 = await enter(servers.s3(folder))
        access = await s3.make_bucket("vcons")
        given = resources_for(folder, providers=await enter(open_providers()))
        resources = replace(given, objects=S3Objects(), clock=SystemClock())
        storages = (
            FileStorage.open(FileOptions(), resources),
            PostgresStorage.open(PostgresOptions(dsn=Secret(postgres.url)), resources),
            S3Storage.open(
                S3Options(
                    aws_access_key_id=access.access_key_id,
                    aws_secret_access_key=access.secret_access_key,
                    aws_bucket=access.bucket,
                    endpoint_url=access.endpoint_url,
                ),
                resources,
            ),
            MilvusStorage.open(
                MilvusOptions(
                    uri=milvus.url,
                    embedding_model="local:wordllama",
                    embedding_dim=256,
                    create_collection_if_missing=True,
                ),
                resources,
            ),
        )
        opened = [await enter(storage) for storage in storages]
        units = zip(NAMES, opened, strict=True)
        yield Fanout({name: StorageUnit(name, storage) for name, storage in units})
