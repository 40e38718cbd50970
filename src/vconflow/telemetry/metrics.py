"""Every instrument of vconflow, on a registry of its own.

A uuid is never a label. Times are in seconds. Call an instrument with its label values to get the
child to count on: `ENTRIES("main", "completed").inc()`.
"""

import asyncio
from typing import Any, Generic, Protocol, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from vconflow.telemetry.timings import ByLabels, Tallies, Tally, Timing, Timings

__all__ = ["CONTENT_TYPE", "REGISTRY", "own_metrics", "render"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

MOST_CHILDREN = 1000
"""Label values can come from a request, such as the name of a list: so many, then `other`."""

ChildT = TypeVar("ChildT")


class _Instrument(Protocol):
    def labels(self, *values: str) -> Any: ...
    def remove(self, *values: str) -> None: ...


class Labelled(Generic[ChildT]):
    """An instrument by its label values, looked up in a dict: `labels()` costs a microsecond."""

    def __init__(self, instrument: _Instrument) -> None:
        self._instrument = instrument
        self._children: dict[tuple[str, ...], ChildT] = {}

    def __call__(self, *values: str) -> ChildT:
        child = self._children.get(values)
        return self._make(values) if child is None else child

    def forget(self, *values: str) -> None:
        """Show it no more: what it measured is gone."""
        if self._children.pop(values, None) is not None:
            self._instrument.remove(*values)

    def _make(self, values: tuple[str, ...]) -> ChildT:
        if len(self._children) >= MOST_CHILDREN:
            values = ("other",) * len(values)
            if (other := self._children.get(values)) is not None:
                return other
        self._children[values] = child = self._child(values)
        return child

    def _child(self, values: tuple[str, ...]) -> ChildT:
        # The client's own instruments are their only child when they have no labels.
        instrument: Any = self._instrument
        has_children = values or isinstance(instrument, ByLabels)
        child: ChildT = instrument.labels(*values) if has_children else instrument
        return child


REGISTRY = CollectorRegistry(auto_describe=True)

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


def _counter(name: str, text: str, *labels: str) -> Labelled[Counter]:
    return Labelled(Counter(f"vconflow_{name}", text, labels, registry=REGISTRY))


def _tally(name: str, text: str, *labels: str) -> Labelled[Tally]:
    """A counter of what happens to every vCon, on the event loop alone."""
    tallies = Tallies(f"vconflow_{name}", text, labels)
    REGISTRY.register(tallies)
    return Labelled(tallies)


def _gauge(name: str, text: str, *labels: str) -> Labelled[Gauge]:
    return Labelled(Gauge(f"vconflow_{name}", text, labels, registry=REGISTRY))


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Labelled[Timing]:
    timings = Timings(f"vconflow_{name}", text, labels, buckets)
    REGISTRY.register(timings)
    return Labelled(timings)


ACCEPTED = _tally("accepted_total", "vCons put on a list.", "list", "source")
PARTNER_ACCEPTED = _counter(
    "partner_accepted_total",
    "vCons accepted from a partner, by the name of the key.",
    "list",
    "key",
)
ENQUEUE_SKIPPED = _counter("enqueue_skipped_total", "uuids to enqueue that nobody knows.", "list")

ENTRIES = _tally("entries_total", "Entries that a chain was done with.", "chain", "outcome")
CHAIN_SECONDS = _histogram(
    "chain_seconds", "Time that one run of a chain took.", SLOW, "chain", "outcome"
)
LINK_SECONDS = _histogram(
    "link_seconds", "Time that a link took.", SLOW, "chain", "link", "outcome"
)
STORAGE_SECONDS = _histogram(
    "storage_seconds", "Time that a storage took for one batch.", SLOW, "storage", "outcome"
)
STORAGE_VCONS = _counter("storage_vcons_total", "vCons given to a storage.", "storage", "outcome")
STORAGE_CONFLICTS = _counter(
    "storage_conflicts_total", "vCons stored again since a newer revision existed.", "storage"
)

PROVIDER_CALLS = _counter(
    "provider_calls_total", "Calls to providers of models.", "provider", "model", "outcome"
)
PROVIDER_SECONDS = _histogram(
    "provider_seconds", "Time that a call to a provider took.", SLOW, "provider", "model"
)
PROVIDER_TOKENS = _counter(
    "provider_tokens_total", "Tokens that a provider counted.", "provider", "model", "direction"
)
PROVIDER_AUDIO = _counter(
    "provider_audio_seconds_total", "Length of the recordings transcribed.", "provider", "model"
)
PROVIDER_COST = _counter(
    "provider_cost_dollars_total", "Price of all calls, where it is known.", "provider", "model"
)
TRACER_SECONDS = _histogram(
    "tracer_seconds", "Time that a tracer took for one step of a vCon.", SLOW, "tracer", "outcome"
)

RETRIES = _counter("retries_total", "Entries that wait for another attempt.", "chain")
DEAD_LETTERS_MOVED = _counter(
    "dead_letters_moved_total", "Dead letters replayed, purged or expired.", "list", "how"
)
PARKED = _counter("parked_total", "Entries stopped by an outage.", "chain")
DOCUMENTS_MISSING = _counter("documents_missing_total", "Entries without a document.", "list")
LEASES_LOST = _counter("leases_lost_total", "Entries that another replica took over.", "list")
TAKEN_OVER = _counter("taken_over_total", "Entries taken over from dead replicas.", "list")
RECOVERED = _counter("recovered_total", "Own entries found again at the start.", "list")
CHAIN_HELD = _counter("chain_held_total", "Times that reading of a chain was held.", "chain")

FOLLOWER_PULLED = _counter(
    "follower_pulled_total", "Ids pulled from another server.", "follower", "outcome"
)
FOLLOWER_FAILURES = _counter(
    "follower_failures_total", "Times that following another server failed.", "follower"
)
FOLLOWER_SUCCESS = _gauge(
    "follower_last_success_seconds", "When following last went well, in Unix time.", "follower"
)
FOLLOWER_WAITING = _gauge(
    "follower_waiting", "Ids pulled whose vCon is not stored here yet.", "follower"
)
FOLLOWER_PARKED = _gauge("follower_parked", "Ids whose vCon cannot be had.", "follower")

MODULE_THREADS_STUCK = _gauge(
    "module_threads_stuck", "Threads of modules whose calls took too long and go on."
)
MODULE_EVENTS = _counter("module_events_total", "What modules count, by their name.", "name")
MODULE_VALUE = _gauge("module_value", "The newest value that modules measured.", "name")

WAITING = _gauge("waiting", "Entries that wait for a retry or for a breaker.", "chain")
INFLIGHT = _gauge("inflight", "Entries being processed.", "chain")
LIST_DEPTH = _gauge("list_depth", "Entries that nobody has taken yet.", "list")
LIST_OLDEST = _gauge("list_oldest_seconds", "Age of the oldest unfinished entry.", "list")
PENDING = _gauge("pending", "Entries taken and not finished.", "list")
LIST_READER = _gauge("list_reader", "1 for the chain that reads a list.", "list", "chain")
DEAD_LETTERS = _gauge("dead_letters", "Dead letters kept.", "list")
BREAKER_OPEN = _gauge("breaker_open", "1 while a breaker is open.", "name")

HTTP_SECONDS = _histogram(
    "http_seconds", "Time until a request was answered.", FAST, "route", "method", "status"
)
AUDIT_LOST = _counter("audit_lost_total", "Lines of the audit log that could not be written.")
CONNECTIONS_REFUSED = _counter(
    "connections_refused_total", "Connections ended before a request reached a route.", "reason"
)
REDIS_SECONDS = _histogram("redis_seconds", "Time that Redis took.", FAST, "command")
REDIS_ERRORS = _counter("redis_errors_total", "Failures to reach Redis.")
REPLICAS = _gauge("replicas", "Replicas of this supervisor: wanted, and ready.", "state")
REPLICA_RESTARTS = _counter(
    "replica_restarts_total", "Times that a replica ended and was started again.", "name"
)
EMBEDDED_RESTARTS = _counter(
    "embedded_restarts_total", "Times that the embedded Valkey had to be started again."
)
CONFIG_RELOADS = _counter(
    "config_reloads_total", "Configurations taken or refused.", "source", "outcome"
)
CONFIG_SERIAL = _gauge("config_serial", "The version of the configuration in force.")
CONFIG_REFUSED = _gauge(
    "config_refused", "1 while the file, or the stored version, is one that cannot be used."
)
SPANS = _counter("spans_total", "Spans for OpenTelemetry, sent or lost.", "outcome")
UNHANDLED = _counter("unhandled_total", "Errors that nothing expected.")
LOOP_LAG = _histogram("loop_lag_seconds", "How late the event loop ran.", FAST)

ProcessCollector(namespace="vconflow", registry=REGISTRY)
PlatformCollector(registry=REGISTRY)


def render() -> tuple[bytes, str]:
    """All metrics as Prometheus text, and its content type. Reads files: call it in a thread."""
    return generate_latest(REGISTRY), CONTENT_TYPE


async def own_metrics() -> bytes:
    """All metrics of this process as Prometheus text."""
    return (await asyncio.to_thread(render))[0]
