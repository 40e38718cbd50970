"""Others answer, and do not take a vCon for now: it alone is tried again, and given up."""

from collections import Counter

from pipeline_support import FAST, site, step, unit, vcon

from vconflow.errors import Overloaded, Permanent, Refused, Retryable, Throttled
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.failure import storages_failed
from vconflow.ports.failures import joined
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage

MANY = 20
"""More than open a breaker."""


class Receiver:
    """A link; its receiver takes a vCon whose subject is `3` when it is offered a third time."""

    def __init__(self) -> None:
        self.offered: Counter[str] = Counter()

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.offered[run.entry] += 1
        if self.offered[run.entry] < int(str(vcon.subject)):
            raise Refused("status 404")
        return CONTINUE


async def test_only_what_is_refused_is_offered_again_and_then_given_up(valkey_url: str) -> None:
    receiver = Receiver()
    chain = Chain("main", (step("offer", receiver),), lists=("in",), egress=("out",))
    late, never = str(FAST.attempts), str(FAST.attempts + 1)
    # A breaker that opened would not be probed within this test.
    async with site(valkey_url, chain, longest_probe=3600) as it:
        refused = await it.submit(*(vcon(subject=never) for _ in range(MANY)))
        taken = await it.submit(*(vcon(subject=late) for _ in range(MANY)), vcon(subject="1"))
        await it.settled()
        assert sorted(await it.popped()) == sorted(taken)
        letters = await it.dead()
        assert {letter.uuid for letter in letters} == set(refused)
        assert {(letter.attempts, letter.error_type) for letter in letters} == {
            (FAST.attempts, "Refused")
        }
        assert it.replica.breakers.of("link:offer").openings == 0


async def test_a_storage_goes_on_for_others(valkey_url: str) -> None:
    storage = MemoryStorage()
    chain = Chain("main", (step("a"),), ("hooks",), ("in",), egress=("out",))
    units = {"hooks": unit("hooks", storage)}
    async with site(valkey_url, chain, storages=units, longest_probe=3600) as it:
        documents = [vcon() for _ in range(2 * MANY)]
        refused = {str(Vcon(document).uuid) for document in documents[:MANY]}
        storage.refuse = dict.fromkeys(refused, Refused("status 404"))
        uuids = set(await it.submit(*documents))
        await it.settled()
        assert set(await it.popped()) == uuids - refused == set(storage.vcons)
        letters = await it.dead()
        assert {letter.uuid for letter in letters} == refused
        assert {letter.attempts for letter in letters} == {FAST.attempts}
        assert it.replica.breakers.of("storage:hooks").openings == 0


def test_it_stays_what_it_is_among_others() -> None:
    refused, limit = Refused("a", retry_after=3), Throttled("b")
    assert type(joined([refused, Permanent("c")], "both")) is Refused
    assert type(joined([refused, limit, Overloaded("d")], "all")) is Refused
    # One of them may be down.
    assert type(joined([refused, Retryable("e")], "both")) is Retryable
    assert storages_failed({"a": refused, "b": Retryable("f")}).breakers == ()
