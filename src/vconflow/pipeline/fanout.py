"""Writing vCons to storages: in parallel, in batches, each storage for itself.

Time-outs, batching, metrics and logs of every storage are here and in `storage_writer`; a storage
holds none of that.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from vconflow.errors import Permanent
from vconflow.model.entry import StoredVcon
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.cancelling import foreign_call
from vconflow.pipeline.retry import RetryPolicy, is_outage
from vconflow.pipeline.storage_writer import StorageUnit, StorageWriter
from vconflow.pipeline.usage import Usage
from vconflow.ports.storage import Recall, is_readable
from vconflow.telemetry import events
from vconflow.telemetry.spans import Spans

__all__ = ["Fanout", "StorageUnit", "breaker_of"]

Note = Callable[[str, float, Exception | None], None]
"""Takes the name of a storage, the seconds it took, and what it failed with, if it did."""


def breaker_of(storage: str) -> str:
    """The name of a storage's breaker."""
    return f"storage:{storage}"


class Fanout:
    """All opened storages; without `parallel` a vCon's storages are written one after the other.

    What was opened `before` and is used alike goes on in the same batches. Whoever takes more than
    one step with it is in its `usage` meanwhile, so that no storage is closed in between.
    """

    def __init__(
        self,
        units: Mapping[str, StorageUnit],
        breakers: Breakers | None = None,
        *,
        parallel: bool = True,
        before: "Fanout | None" = None,
        spans: Spans | None = None,
    ) -> None:
        self.usage = Usage()
        self.breakers = Breakers() if breakers is None else breakers
        self._parallel = parallel
        self._units = dict(units)
        self._keepers: dict[tuple[str, ...], tuple[str, ...]] = {}
        old = {} if before is None else before._writers
        self._writers: dict[str, StorageWriter] = {
            name: old[name]
            if name in old and old[name].unit == unit
            else StorageWriter(unit, self.breakers.of(breaker_of(name)), spans)
            for name, unit in units.items()
        }

    def retry(self, name: str) -> RetryPolicy:
        """The retry policy of a storage."""
        return self._units[name].retry if name in self._units else RetryPolicy()

    def keepers(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of these storages that give back what they were given, however late."""
        found = self._keepers.get(names)
        if found is None:
            units = [self._units[name] for name in names if name in self._units]
            found = tuple(it.name for it in units if is_readable(it.storage) and not it.forgets)
            self._keepers[names] = found
        return found

    async def store(
        self, vcon: StoredVcon, names: Sequence[str], note: Note | None = None
    ) -> dict[str, Exception]:
        """Write to every named storage; the failures by name, empty when all have it.

        `Paused` stands for a storage that was not even asked. `note` is told how each one did.
        """
        if len(names) == 1 or not self._parallel:  # a gather costs a task per storage
            results = [await self._store_one(vcon, name, note) for name in names]
        else:
            results = await asyncio.gather(*(self._store_one(vcon, name, note) for name in names))
        return {
            name: error
            for name, error in zip(names, results, strict=True)
            if isinstance(error, Exception)
        }

    async def _store_one(self, vcon: StoredVcon, name: str, note: Note | None) -> Exception | None:
        writer, started = self._writers.get(name), time.perf_counter()
        if writer is None:
            return Permanent(f"storage {name!r} is not configured any more")
        try:
            writer.breaker.admit()
            await writer.batcher.submit(vcon)
        # A storage's failure of any kind is this entry's failure at this storage, never more.
        except Exception as error:  # noqa: BLE001
            if note is not None:
                note(name, time.perf_counter() - started, error)
            return error
        if note is not None:
            note(name, time.perf_counter() - started, None)
        return None

    async def get(
        self, uuid: str, holders: Collection[str] = ()
    ) -> tuple[bytes | None, dict[str, Exception]]:
        """Ask the storages in configured order, those that are readable before the others.

        Also what failed on the way. The holders are known to have the newest revision: while one of
        them cannot be asked no other is, since what that has may be older.
        """
        readers = self._readers()
        first = [it for it in readers if it[0] in holders]
        document, failures = await self._ask(uuid, first)
        if document is None and not failures:
            document, failures = await self._ask(uuid, [it for it in readers if it not in first])
        return document, failures

    async def _ask(
        self, uuid: str, readers: Sequence[tuple[str, Recall]]
    ) -> tuple[bytes | None, dict[str, Exception]]:
        failures: dict[str, Exception] = {}
        for name, read in readers:
            try:
                async with foreign_call(self._units[name].timeout):
                    document = await read(uuid)
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

    def _readers(self) -> list[tuple[str, Recall]]:
        readable = [
            (name, it.storage.get) for name, it in self._units.items() if is_readable(it.storage)
        ]
        recalling = [(name, it.recall) for name, it in self._units.items() if it.recall is not None]
        return [*readable, *recalling]

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
    async def _delete_one(uuid: str, writer: StorageWriter) -> bool:
        # Somebody may be waiting for the answer: it is given even while the storage is down.
        try:
            async with foreign_call(writer.unit.timeout):
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
        with self.usage:
            async with foreign_call(min(5.0, unit.timeout)):
                await unit.storage.ping()

    @property
    def names(self) -> list[str]:
        """All storages in configured order."""
        return list(self._units)

    @property
    def writers(self) -> Collection[StorageWriter]:
        """What gathers and writes the batches of each storage."""
        return self._writers.values()

    async def stop(self, kept: Collection[StorageWriter] = ()) -> None:
        """Give up batches under way: those who wanted them have stopped waiting.

        Those that are `kept` go on.
        """
        for writer in self._writers.values():
            if writer not in kept:
                await writer.batcher.stop()
