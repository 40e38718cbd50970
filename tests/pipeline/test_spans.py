"""Spans of a vCon's way: one trace over links, storages, retries and chains."""

import asyncio

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pipeline_support import FAST, site, step, tagging, unit, vcon

from vconflow.errors import Permanent, Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain, TracerUnit
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.telemetry.otel import OtelSpans
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.memory_tracer import MemoryTracer

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Recorded:
    """Everything that was recorded, as people look at it."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("tests")
        self.spans = OtelSpans(self.tracer)

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def parents(self, trace: str) -> list[tuple[str, str]]:
        """Name and name of the parent of every span of a trace; `?` is not one of ours."""
        names = {it.context.span_id: it.name for it in self.all if it.context}
        return sorted(
            (it.name, names.get(it.parent.span_id, "?") if it.parent else "")
            for it in self.all
            if it.context and f"{it.context.trace_id:032x}" == trace
        )


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def outcomes(spans: list[ReadableSpan]) -> list[object]:
    return [(span.attributes or {})["vconflow.outcome"] for span in spans]


async def test_one_trace_over_two_chains(redis_url: str, recorded: Recorded) -> None:
    tracer = TracerUnit("audit", MemoryTracer())
    storages = {"s": unit("s", MemoryStorage()), "t": unit("t", MemoryStorage())}
    first = Chain("a", (step("tag"),), ("s", "t"), ("in",), ("next",), tracers=(tracer,))
    second = Chain("b", (step("more"),), lists=("next",), egress=("out",))
    async with site(redis_url, first, second, storages=storages, spans=recorded.spans) as it:
        accepted = await it.ingest.accept(vcon(), ("in",), trace=PARENT)
        await it.settled("in", "next")
        (entry,) = await it.backend.egress.lease("out", 1)
    assert recorded.parents(TRACE) == [
        ("chain a", "?"),
        ("chain b", "chain a"),
        ("link more", "chain b"),
        ("link tag", "chain a"),
        ("storage s", "chain a"),
        ("storage t", "chain a"),
        ("tracer audit", "chain a"),
        ("tracer audit", "chain a"),
    ]
    chain, last, link = recorded.one("chain a"), recorded.one("chain b"), recorded.one("link tag")
    assert chain.parent is not None
    assert f"{chain.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert chain.kind is SpanKind.CONSUMER
    common = {"vconflow.chain": "a", "vconflow.list": "in", "vconflow.uuid": accepted.uuid}
    told = dict(chain.attributes or {})
    assert told.pop("vconflow.entry")
    assert told == {**common, "vconflow.attempt": 1, "vconflow.outcome": "completed"}
    assert dict(link.attributes or {}) == {
        **common, "vconflow.link": "tag", "vconflow.outcome": "continue"
    }  # fmt: skip
    assert chain.start_time <= link.start_time <= link.end_time <= chain.end_time  # type: ignore[operator]
    # Whoever takes it from egress could go on with it.
    assert last.context is not None
    assert entry.trace == f"00-{TRACE}-{last.context.span_id:016x}-01"


async def test_a_batch_names_the_traces_of_all_in_it(valkey_url: str, recorded: Recorded) -> None:
    chain = Chain("a", (), ("s",), ("in",))
    storages = {"s": unit("s", MemoryStorage(), parallel=1)}
    async with site(valkey_url, chain, storages=storages, spans=recorded.spans) as it:
        await it.submit(*(vcon() for _ in range(20)))
        await it.settled()
    batches = recorded.named("batch s")
    linked = [link.context.span_id for batch in batches for link in batch.links or ()]
    chains = [it.context.span_id for it in recorded.named("chain a") if it.context]
    assert sorted(linked) == sorted(chains)
    assert len(chains) == 20
    assert sum((batch.attributes or {})["vconflow.vcons"] for batch in batches) == 20  # type: ignore[misc]
    assert outcomes(batches) == ["ok"] * len(batches)
    # A trace of its own: it belongs to none of them alone.
    assert [batch.parent for batch in batches] == [None] * len(batches)


@pytest.mark.parametrize("brought", [PARENT, ""], ids=["brought", "own"])
async def test_retries_and_a_replay_go_on_in_the_same_trace(
    redis_url: str, recorded: Recorded, brought: str
) -> None:
    errors: list[Exception] = [Retryable("secret words"), Permanent("secret words")]

    async def failing(vcon: Vcon, run: LinkRun) -> Outcome:
        if errors:
            raise errors.pop(0)
        return CONTINUE

    chain = Chain("a", (step("a"), step("f", failing, retry=FAST)), lists=("in",), egress=("out",))
    async with site(redis_url, chain, spans=recorded.spans) as it:
        await it.ingest.accept(vcon(), ("in",), trace=brought)
        await it.settled()
        (letter,) = await it.dead()
        await it.backend.dead_letters.replay("in", [letter.id])
        await it.settled()
    attempts = recorded.named("chain a")
    assert outcomes(attempts) == ["retried", "dead", "completed"]
    assert len({it.context.trace_id for it in attempts if it.context}) == 1
    if brought:
        assert {it.parent.span_id for it in attempts if it.parent} == {0x00F067AA0BA902B7}
    else:
        first, *others = attempts
        assert first.parent is None
        assert first.context is not None
        assert [it.parent.span_id for it in others if it.parent] == [first.context.span_id] * 2
    stages = [(it.attributes or {}).get("vconflow.stage") for it in attempts]
    assert stages == ["link:f", "link:f", None]
    failed = recorded.named("link f")
    assert outcomes(failed) == ["retryable", "permanent", "continue"]
    for spans in (attempts, failed):
        types = [(it.attributes or {}).get("error.type") for it in spans]
        assert types == ["Retryable", "Permanent", None]
        codes = [it.status.status_code for it in spans]
        assert codes == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert "secret" not in "".join(it.to_json() for it in recorded.all)


async def test_a_storage_that_fails(valkey_url: str, recorded: Recorded) -> None:
    broken = MemoryStorage()
    broken.fail_with = Permanent("secret words")
    storages = {"s": unit("s", broken), "t": unit("t", MemoryStorage())}
    chain = Chain("a", (), ("s", "t"), ("in",))
    async with site(valkey_url, chain, storages=storages, spans=recorded.spans) as it:
        await it.submit(vcon())
        await it.settled()
        assert len(await it.dead()) == 1
        history = await it.backend.history.of((await it.dead())[0].uuid)
        assert [(time.name, time.outcome) for time in history[-1].storages] == [
            ("s", "failed"), ("t", "")
        ]  # fmt: skip
    names = ("storage s", "batch s", "storage t", "batch t")
    types = [(recorded.one(name).attributes or {}).get("error.type") for name in names]
    assert types == ["Permanent", "Permanent", None, None]
    assert "secret" not in "".join(it.to_json() for it in recorded.all)


async def test_what_a_link_records_itself_is_part_of_its_chain(
    valkey_url: str, recorded: Recorded
) -> None:
    async def instrumented(vcon: Vcon, run: LinkRun) -> Outcome:
        with recorded.tracer.start_as_current_span("inner"):
            await asyncio.sleep(0)
        return await tagging("x")(vcon, run)

    chain = Chain("a", (step("i", instrumented),), lists=("in",))
    async with site(valkey_url, chain, spans=recorded.spans) as it:
        await it.submit(*(vcon() for _ in range(3)))
        await it.settled()
    parents = {it.context.span_id for it in recorded.named("chain a") if it.context}
    assert {it.parent.span_id for it in recorded.named("inner") if it.parent} == parents
    assert len(parents) == 3


async def test_an_attempt_that_is_cut_short_ends_its_span(
    valkey_url: str, recorded: Recorded
) -> None:
    begun = asyncio.Event()

    async def endless(vcon: Vcon, run: LinkRun) -> Outcome:
        begun.set()
        await asyncio.Event().wait()
        return CONTINUE

    chain = Chain("a", (step("e", endless),), lists=("in",))
    async with site(valkey_url, chain, spans=recorded.spans, grace=0.0) as it:
        await it.submit(vcon())
        await begun.wait()
    assert outcomes([recorded.one("chain a")]) == ["cancelled"]
