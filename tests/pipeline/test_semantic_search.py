"""Searching by meaning, over all storages that can."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import pytest
from pipeline_support import unit

from vconflow.errors import NotFound, Permanent, Retryable
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.semantic_search import SemanticSearch
from vconflow.ports.semantic_index import SemanticHit
from vconflow.testing.memory_storage import MemoryStorage


class Index(MemoryStorage):
    """Finds the same whatever it is asked."""

    searchable: ClassVar[bool] = True

    def __init__(self, *hits: SemanticHit, error: Exception | None = None) -> None:
        super().__init__()
        self.hits = hits
        self.error = error

    async def search(self, text: str, limit: int) -> Sequence[SemanticHit]:
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return self.hits[:limit]


def _search(*storages: MemoryStorage, timeout: float = 60.0) -> SemanticSearch:
    units = {
        str(number): unit(str(number), storage, timeout=timeout)
        for number, storage in enumerate(storages)
    }
    fanout = Fanout(units)
    return SemanticSearch(lambda: fanout)


async def test_hits_of_all_are_merged_by_their_best_passage() -> None:
    one = Index(SemanticHit("a", 0.9, "best of a"), SemanticHit("b", 0.2, "less of b"))
    two = Index(SemanticHit("b", 0.7, "best of b"), SemanticHit("c", 0.5, "c"))
    search = _search(one, MemoryStorage(), two)
    assert list(await search.search("x", 3)) == [
        SemanticHit("a", 0.9, "best of a"),
        SemanticHit("b", 0.7, "best of b"),
        SemanticHit("c", 0.5, "c"),
    ]
    assert [hit.uuid for hit in await search.search("x", 2)] == ["a", "b"]


async def test_a_long_row_of_the_reference_is_cut() -> None:
    (hit,) = await _search(Index(SemanticHit("a", 1.0, "x" * 60_000))).search("x", 1)
    assert hit.text == "x" * 2000


async def test_there_may_be_nothing_to_search_in() -> None:
    for search in (_search(), _search(MemoryStorage())):
        with pytest.raises(NotFound, match="is configured"):
            await search.search("x", 1)


async def test_nothing_found_is_no_error() -> None:
    assert list(await _search(Index()).search("x", 1)) == []


@pytest.mark.parametrize("error", [Retryable("away"), Permanent("no"), ValueError("bug")])
async def test_one_that_is_away_is_left_out(error: Exception) -> None:
    found = await _search(Index(error=error), Index(SemanticHit("a", 0.9, "a"))).search("x", 1)
    assert [hit.uuid for hit in found] == ["a"]


async def test_all_that_are_away_are_waited_for_without_their_words() -> None:
    errors = [Retryable("secret", retry_after=3), Retryable("words", retry_after=8), Permanent("x")]
    with pytest.raises(Retryable) as caught:
        await _search(*(Index(error=error) for error in errors)).search("x", 1)
    assert caught.value.retry_after == 8
    assert not {"secret", "words"} & set(str(caught.value).split())


async def test_one_that_never_answers_counts_as_away() -> None:
    stuck = Index(SemanticHit("a", 0.9, "a"))
    stuck.delay = 3600.0
    with pytest.raises(Retryable):
        await _search(stuck, timeout=0.05).search("x", 1)
