"""One storage: how it is used, and the batches that are written to it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vconflow.errors import PartialFailure, Permanent, Refused, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.pipeline.batcher import Batcher
from vconflow.pipeline.breaker import Breaker
from vconflow.pipeline.cancelling import foreign_call
from vconflow.pipeline.retry import RetryPolicy, is_outage
from vconflow.ports.storage import Recall, Storage
from vconflow.telemetry import events
from vconflow.telemetry.spans import Spans

__all__ = ["StorageUnit", "StorageWriter"]


@dataclass(frozen=True)
class StorageUnit:
    """An opened storage and how it is used.

    `timeout` is in seconds for one batch; `parallel` batches are under way at the same time. They
    are smaller than what a chain has under way, so that its links go on meanwhile. One that
    `forgets` can be read for a while only: no document leaves Redis because it has it.
    """

    name: str
    storage: Storage
    timeout: float = 60.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_items: int = 64
    max_bytes: int = 16 * 1024 * 1024
    parallel: int = 2
    recall: Recall | None = None
    forgets: bool = False


class StorageWriter:
    """Gathers and writes batches, and tells the breaker what it learns from them."""

    def __init__(self, unit: StorageUnit, breaker: Breaker, spans: Spans | None = None) -> None:
        self._spans = spans
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

    async def _put(self, batch: Sequence[StoredVcon]) -> Mapping[str, Exception]:
        started = time.perf_counter()
        try:
            async with foreign_call(self.unit.timeout):
                await self.unit.storage.put(batch)
        except PartialFailure as error:
            self._report(started, "partial", batch, error)
            failures = self._named(batch, error)
            self._judge(batch, failures)
            return failures
        # The boundary to foreign code: whatever a storage raises is a failure of this batch.
        except Exception as error:  # noqa: BLE001
            self._report(started, "failed", batch, error)
            return await self._blame(batch, self._explain(error))
        self._report(started, "ok", batch, None)
        self.breaker.succeeded()
        return {}

    def _named(self, batch: Sequence[StoredVcon], error: PartialFailure) -> Mapping[str, Exception]:
        """What failed, by the uuids of the batch; all of it when it names others, or none."""
        if error.failures and error.failures.keys() <= {vcon.uuid for vcon in batch}:
            return error.failures
        unclear = Retryable(f"storage {self.unit.name!r} does not say which vCons failed: {error}")
        return {vcon.uuid: unclear for vcon in batch}

    def _judge(self, batch: Sequence[StoredVcon], failures: Mapping[str, Exception]) -> None:
        """It works when it took some; it is down when it took none and says so."""
        outages = [error for error in failures.values() if is_outage(error)]
        if len(failures) < len(batch):
            self.breaker.succeeded()
        elif outages:
            self.breaker.failed(outages[0])
        else:
            self.breaker.answered()

    async def _blame(self, batch: Sequence[StoredVcon], error: Exception) -> dict[str, Exception]:
        """One vCon that cannot be stored must not take its batch along."""
        if is_outage(error):
            self.breaker.failed(error)
        elif isinstance(error, Permanent | Refused):
            self.breaker.answered()
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
        self,
        started: float,
        outcome: str,
        batch: Sequence[StoredVcon],
        error: BaseException | None,
    ) -> None:
        name, seconds, count = self.unit.name, time.perf_counter() - started, len(batch)
        events.storage_done(name, outcome, seconds, count, error)
        if self._spans is not None:
            told: dict[str, str | int] = {
                "vconflow.storage": name,
                "vconflow.outcome": outcome,
                "vconflow.vcons": count,
            }
            error_type = type(error).__name__ if error else ""
            links = (vcon.trace for vcon in batch)
            self._spans.batch(f"batch {name}", seconds, told, error_type, links)
