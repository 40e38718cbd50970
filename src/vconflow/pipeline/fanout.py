"""Writing vCons to storages: in parallel, in batches, each storage for itself.

Time-outs, batching, metrics and logs of every storage are here; a storage holds none of that.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from vconflow.errors import PartialFailure, Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.pipeline.batcher import Batcher
from vconflow.pipeline.breaker import Breaker, Breakers
from vconflow.pipeline.retry import RetryPolicy, is_outage
from vconflow.ports.storage import ReadableStorage, Storage
from vconflow.telemetry import events

__all__ = ["Fanout", "StorageUnit", "breaker_of"]


@dataclass(frozen=True)
class StorageUnit:
    """An opened storage and how it is used.

    `timeout` is in seconds for one batch; `parallel` batches are under way at the same time.
    """

    name: str
    storage: Storage
    timeout: float = 60.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_items: int = 256
    max_bytes: int = 16 * 1024 * 1024
    parallel: int = 2


def breaker_of(storage: str) -> str:
    """The name of a storage's breaker."""
    return f"storage:{storage}"


def _is_readable(storage: Storage) -> TypeGuard[ReadableStorage]:
    return storage.readable


class Fanout:
    """All opened storages; without `parallel` a vCon's storages are written one after the other."""

    def __init__(
        self,
        units: Mapping[str, StorageUnit],
        breakers: Breakers | None = None,
        *,
        parallel: bool = True,
    ) -> None:
        self.breakers = Breakers() if breakers is None else breakers
        self._parallel = parallel
        self._units = dict(units)
        self._writers = {
            name: _Writer(unit, self.breakers.of(breaker_of(name))) for name, unit in units.items()
        }

    def retry(self, name: str) -> RetryPolicy:
        """The retry policy of a storage."""
        return self._units[name].retry if name in self._units else RetryPolicy()

    def any_readable(self, names: Sequence[str]) -> bool:
        """Whether one of these storages gives back what it was given."""
        return any(self._units[name].storage.readable for name in names if name in self._units)

    async def store(self, vcon: StoredVcon, names: Sequence[str]) -> dict[str, Exception]:
        """Write to every named storage; the failures by name, empty when all have it.

        `Paused` stands for a storage that was not even asked.
        """
        known = [name for name in names if name in self._writers]
        failures: dict[str, Exception] = {
            name: Permanent(f"storage {name!r} is not configured any more")
            for name in names
            if name not in self._writers
        }
        if len(known) == 1 or not self._parallel:  # a gather costs a task per storage
            results = [await self._store_one(vcon, name) for name in known]
        else:
            results = await asyncio.gather(*(self._store_one(vcon, name) for name in known))
        failures |= {
            name: error
            for name, error in zip(known, results, strict=True)
            if isinstance(error, Exception)
        }
        return failures

    async def _store_one(self, vcon: StoredVcon, name: str) -> Exception | None:
        writer = self._writers[name]
        try:
            writer.breaker.admit()
            await writer.batcher.submit(vcon)
        # A storage's failure of any kind is this entry's failure at this storage, never more.
        except Exception as error:  # noqa: BLE001
            return error
        return None

    async def get(self, uuid: str) -> tuple[bytes | None, dict[str, Exception]]:
        """Ask the readable storages in configured order; also what failed on the way."""
        failures: dict[str, Exception] = {}
        for name, unit in self._units.items():
            if _is_readable(unit.storage):
                try:
                    async with asyncio.timeout(unit.timeout):
                        document = await unit.storage.get(uuid)
                # The next storage may still have it.
                except Exception as error:  # noqa: BLE001
                    events.storage_done(name, "read_failed", 0.0, 1, error)
                    failures[name] = error
                    if is_outage(error):
                        self._writers[name].breaker.failed(error)
                else:
                    if document is not None:
                        return document, failures
        return None, failures

    async def delete(
        self, uuid: str, names: Sequence[str] | None = None
    ) -> tuple[list[str], dict[str, Exception]]:
        """Remove a vCon from the named storages, by default from all.

        Returns which held a copy, and what failed by name.
        """
        wanted = [name for name in (self._units if names is None else names) if name in self._units]
        results = await asyncio.gather(
            *(self._delete_one(uuid, self._writers[name]) for name in wanted),
            return_exceptions=True,
        )
        failures = {
            name: result
            for name, result in zip(wanted, results, strict=True)
            if isinstance(result, Exception)
        }
        held = [name for name, result in zip(wanted, results, strict=True) if result is True]
        return held, failures

    @staticmethod
    async def _delete_one(uuid: str, writer: "_Writer") -> bool:
        # Somebody may be waiting for the answer: it is given even while the storage is down.
        try:
            async with asyncio.timeout(writer.unit.timeout):
                held = await writer.unit.storage.delete(uuid)
        except Exception as error:
            if is_outage(error):
                writer.breaker.failed(error)
            raise
        writer.breaker.succeeded()
        return held

    async def ping(self, name: str) -> None:
        """Raise what hinders a storage from taking a batch now."""
        unit = self._units[name]
        async with asyncio.timeout(min(5.0, unit.timeout)):
            await unit.storage.ping()

    @property
    def names(self) -> list[str]:
        """All storages in configured order."""
        return list(self._units)

    async def stop(self) -> None:
        """Give up batches under way: those who wanted them have stopped waiting."""
        for writer in self._writers.values():
            await writer.batcher.stop()


class _Writer:
    """Gathers and writes the batches of one storage."""

    def __init__(self, unit: StorageUnit, breaker: Breaker) -> None:
        self.unit = unit
        self.breaker = breaker
        self.batcher: Batcher[StoredVcon, None] = Batcher(
            self._flush,
            max_items=unit.max_items,
            max_bytes=unit.max_bytes,
            size_of=lambda vcon: len(vcon.document),
            parallel=unit.parallel,
        )

    async def _flush(self, vcons: Sequence[StoredVcon]) -> Sequence[Exception | None]:
        newest: dict[str, StoredVcon] = {}
        for vcon in vcons:
            if vcon.uuid not in newest or newest[vcon.uuid].rev <= vcon.rev:
                newest[vcon.uuid] = vcon
        failures = await self._put(list(newest.values()))
        return [failures.get(vcon.uuid) for vcon in vcons]

    async def _put(self, batch: Sequence[StoredVcon]) -> dict[str, Exception]:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self.unit.timeout):
                await self.unit.storage.put(batch)
        except PartialFailure as error:
            self._report(started, "partial", len(batch), error)
            self._judge(batch, error.failures)
            return error.failures
        # The boundary to foreign code: whatever a storage raises is a failure of this batch.
        except Exception as error:  # noqa: BLE001
            self._report(started, "failed", len(batch), error)
            return await self._blame(batch, self._explain(error))
        self._report(started, "ok", len(batch), None)
        self.breaker.succeeded()
        return {}

    def _judge(self, batch: Sequence[StoredVcon], failures: Mapping[str, Exception]) -> None:
        """It works when it took some; it is down when it took none and says so."""
        outages = [error for error in failures.values() if is_outage(error)]
        if len(failures) < len(batch):
            self.breaker.succeeded()
        elif outages:
            self.breaker.failed(outages[0])

    async def _blame(self, batch: Sequence[StoredVcon], error: Exception) -> dict[str, Exception]:
        """One vCon that cannot be stored must not take its batch along."""
        if is_outage(error):
            self.breaker.failed(error)
        if is_outage(error) or len(batch) == 1:
            return {vcon.uuid: error for vcon in batch}
        failures: dict[str, Exception] = {}
        for vcon in batch:
            failures |= await self._put([vcon])
        return failures

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, TimeoutError):
            return Retryable(f"storage {self.unit.name!r} took over {self.unit.timeout:g} s")
        return error

    def _report(
        self, started: float, outcome: str, count: int, error: BaseException | None
    ) -> None:
        events.storage_done(self.unit.name, outcome, time.perf_counter() - started, count, error)
