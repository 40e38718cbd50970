"""Searching by meaning, in all storages that can."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeGuard

import msgspec

from vconflow.errors import NotFound, Retryable
from vconflow.pipeline.cancelling import foreign_call
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.storage_writer import StorageUnit
from vconflow.ports.semantic_index import SemanticHit, SemanticIndex
from vconflow.telemetry import events

__all__ = ["SemanticSearch"]

_SECONDS: Final = 20.0
"""Somebody waits for the answer."""
_LONGEST: Final = 2_000


class SemanticSearch:
    """Asks every storage that is a SemanticIndex, at the same time."""

    def __init__(self, fanout: Callable[[], Fanout]) -> None:
        self._fanout = fanout

    async def search(self, text: str, limit: int) -> Sequence[SemanticHit]:
        """The vCons that fit best, the best first, each once with its best passage.

        A storage that is away is left out while another one answers. Raises NotFound when no
        storage can search, and Retryable when none of those that can does.
        """
        fanout = self._fanout()
        with fanout.usage:
            units = [writer.unit for writer in fanout.writers]
            asked = [_ask(unit, unit.storage, text, limit) for unit in units if _can(unit.storage)]
            answers = await asyncio.gather(*asked)
        found = [hits for hits in answers if not isinstance(hits, Exception)]
        if found:
            return _merged(found)[:limit]
        if answers:
            raise _away([error for error in answers if isinstance(error, Exception)])
        raise NotFound("No storage that can be searched by meaning is configured")


def _can(storage: object) -> TypeGuard[SemanticIndex]:
    return bool(getattr(storage, "searchable", False))


async def _ask(
    unit: StorageUnit, index: SemanticIndex, text: str, limit: int
) -> Sequence[SemanticHit] | Exception:
    started = time.perf_counter()
    try:
        async with foreign_call(min(_SECONDS, unit.timeout)):
            hits = await index.search(text, limit)
    # The next storage may answer.
    except Exception as error:  # noqa: BLE001
        events.storage_done(unit.name, "search_failed", time.perf_counter() - started, 0, error)
        return error
    events.storage_done(unit.name, "searched", time.perf_counter() - started, len(hits), None)
    return hits


def _away(errors: Sequence[Exception]) -> Retryable:
    """Without their messages: those are for the operator, who finds them in the log."""
    waits = [error.retry_after for error in errors if isinstance(error, Retryable)]
    message = "The storages that can be searched by meaning do not answer now"
    return Retryable(message, retry_after=max(filter(None, waits), default=None))


def _merged(found: Sequence[Sequence[SemanticHit]]) -> list[SemanticHit]:
    best: dict[str, SemanticHit] = {}
    for hit in sorted((hit for hits in found for hit in hits), key=_score, reverse=True):
        best.setdefault(hit.uuid, _shortened(hit))
    return list(best.values())


def _score(hit: SemanticHit) -> float:
    return hit.score


def _shortened(hit: SemanticHit) -> SemanticHit:
    """A row of the reference conserver holds all that was said."""
    return msgspec.structs.replace(hit, text=hit.text[:_LONGEST])
