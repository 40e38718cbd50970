"""What a batch of commits has in common must not show: whose entries they are, and their end."""

import random

import pytest
from redis_support import meta

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.adapters.redis.keys import GROUP
from vconflow.errors import Permanent
from vconflow.model.entry import Entry
from vconflow.ports.documents import Document
from vconflow.ports.ledger import Commit, CommitResult, Defer, Finish, Progress, Target, Verdict
from vconflow.testing.contracts.backend import accept, commit_of, read, vcon

OUT = Finish(targets=(Target("out", False),))

Begun = tuple[Entry, Document]


async def begin(backend: RedisBackend, number: int, *lists: str) -> list[Begun]:
    """So many entries of each list, read by the replica."""
    begun = []
    for name in lists or ("in",):
        for _ in range(number):
            await accept(backend, vcon(), name)
        entries = await read(backend, name, count=number)
        found = await backend.documents.fetch([entry.uuid for entry in entries])
        begun += list(zip(entries, found, strict=True))
    return begun


async def pending(backend: RedisBackend, name: str = "in") -> int:
    return (await backend.stream.depth([name]))[name].pending


async def handed_on(backend: RedisBackend) -> list[str]:
    return sorted(entry.uuid for entry in await backend.egress.lease("out", 10_000))


def uuids(begun: list[Begun]) -> list[str]:
    return sorted(entry.uuid for entry, _ in begun)


async def verdicts(backend: RedisBackend, commits: list[Commit]) -> list[Verdict]:
    results = await backend.ledger.commit(commits)
    return [result.verdict for result in results if isinstance(result, CommitResult)]


@pytest.mark.parametrize("order", ["read", "reversed", "mixed"])
async def test_only_what_others_took_over_is_lost(backend: RedisBackend, order: str) -> None:
    begun = await begin(backend, 12, "in", "more")
    taken, left = begun[3::5], begun[4::5]
    for entry, _ in taken:
        await backend.connections.commands.execute_command(
            "XCLAIM", f"vconflow:list:{entry.list}", GROUP, "other", 0, entry.id, "JUSTID"
        )
    batch = [item for item in begun if item not in left]
    if order == "reversed":
        batch.reverse()
    elif order == "mixed":
        random.Random(5).shuffle(batch)
    commits = [commit_of(entry, found, then=OUT) for entry, found in batch]
    expected = [Verdict.LOST if item in taken else Verdict.DONE for item in batch]
    assert await verdicts(backend, commits) == expected
    assert await handed_on(backend) == uuids([item for item in batch if item not in taken])
    waiting = await pending(backend) + await pending(backend, "more")
    assert waiting == len(taken) + len(left)


async def test_an_entry_that_comes_twice_is_done_once(backend: RedisBackend) -> None:
    begun = await begin(backend, 3)
    commits = [commit_of(entry, found, then=OUT) for entry, found in (*begun, *begun)]
    assert await verdicts(backend, commits) == [Verdict.DONE] * 3 + [Verdict.LOST] * 3
    assert await handed_on(backend) == uuids(begun)
    for entry, _ in begun:
        held = await meta(backend, entry.uuid)
        assert (held["open"], held["egress"]) == ("0", "1")


async def test_what_was_done_before_an_error_is_not_done_again(backend: RedisBackend) -> None:
    """An error in the middle ends the script, and Lua takes nothing back."""
    begun = await begin(backend, 3)
    broken = begun[1][0]
    run = f"vconflow:run:in:{broken.id}"
    await backend.connections.commands.execute_command("SET", run, "no hash")
    commits = [commit_of(entry, found, then=OUT) for entry, found in begun]
    commits[1] = commit_of(*begun[1], then=Defer(Progress()))
    with pytest.raises(Permanent, match=r"^Redis: WRONGTYPE "):
        await backend.ledger.commit(commits)
    assert await handed_on(backend) == uuids(begun[:1])
    assert await pending(backend) == 2

    await backend.connections.commands.execute_command("DEL", run)
    assert await verdicts(backend, commits) == [Verdict.LOST, Verdict.DONE, Verdict.DONE]
    assert await handed_on(backend) == uuids(begun[2:])
    assert await pending(backend) == 1


async def test_the_largest_batch_leaves_nothing(backend: RedisBackend) -> None:
    begun = await begin(backend, 128, "in", "more")
    deferred = [commit_of(entry, found, then=Defer(Progress())) for entry, found in begun]
    assert set(await verdicts(backend, deferred)) == {Verdict.DONE}
    client = backend.connections.commands
    assert len(await client.execute_command("KEYS", "vconflow:run:*")) == 256
    finished = [commit_of(entry, found, then=OUT) for entry, found in begun]
    assert set(await verdicts(backend, finished)) == {Verdict.DONE}
    assert await client.execute_command("KEYS", "vconflow:run:*") == []
    for name in ("in", "more"):
        assert await pending(backend, name) == 0
        assert await client.execute_command("XLEN", f"vconflow:list:{name}") == 0
    assert await handed_on(backend) == uuids(begun)
