"""`VCONFLOW_DURABILITY=replicated`: yes only when a replica has it too."""

from pathlib import Path

import pytest

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.errors import ConfigError, Unavailable
from vconflow.model.validation import validate
from vconflow.ports.follow import Handed
from vconflow.ports.intake import Acceptance, Enqueuing, Idempotency, Receipt
from vconflow.ports.ledger import Finish, Verdict
from vconflow.testing.contracts.backend import accept, commit, commit_of, read, vcon
from vconflow.testing.sentinel import sentinel_site
from vconflow.testing.servers import valkey

OPTIONS = RedisOptions(durability="replicated")


async def test_nothing_counts_that_no_replica_has(tmp_path: Path) -> None:
    document = vcon()
    item = Acceptance(validate(document), document, ("in",), idempotency=Idempotency("k", "0" * 32))
    async with (
        sentinel_site(tmp_path, min_replicas_to_write=1) as redis,
        open_backend(redis.url, OPTIONS) as backend,
    ):
        receipt = await accept(backend, vcon(), "in")
        assert receipt.rev > 0
        (entry,) = await read(backend, "in")
        (found,) = await backend.documents.fetch([entry.uuid])
        replica = await redis.replica()
        replica.pause()
        with pytest.raises(Unavailable, match="no replica has confirmed"):
            await backend.intake.accept([item])
        # The second try writes nothing new: what it repeats is no safer than before.
        with pytest.raises(Unavailable, match="no replica has confirmed"):
            await backend.intake.accept([item])
        with pytest.raises(Unavailable, match="no replica has confirmed"):
            await backend.follow_journal.add("f", [Handed("1", "u")], 0)
        # What may be repeated waits for nobody.
        result = await commit(backend, commit_of(entry, found, then=Finish()))
        assert result.verdict is Verdict.DONE
        replica.resume()
        await redis.in_sync()
        (answer,) = await backend.intake.accept([item])
        assert isinstance(answer, Receipt)
        assert answer.repeated
        await backend.intake.enqueue(Enqueuing([item.facts.uuid], "in"))
        await backend.follow_journal.add("f", [Handed("1", "u")], 0)
        assert await backend.follow_journal.waiting("f") == (1, 0)
        assert await backend.documents.delete(item.facts.uuid, None)


async def test_a_master_that_takes_writes_alone_is_refused(tmp_path: Path) -> None:
    async with valkey(tmp_path) as server:
        with pytest.raises(ConfigError, match="needs 'min-replicas-to-write 1'"):
            async with open_backend(server.url, OPTIONS):
                pass
