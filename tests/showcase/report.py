"""What the run took and cost, by step."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

from .conversations import Conversation

__all__ = ["table"]

PAID = (
    # step, provider, kind of its units
    ("transcribe", "deepgram", "audio"),
    ("summarize", "gpt-4o-mini", "tokens"),
    ("passages", "text-embedding-3-small", "tokens"),
)
FREE = ("mark", "notify", "rows", "objects")


def table(
    made: Sequence[Conversation], histories: Iterable[dict[str, Any]], metrics: str, seconds: float
) -> Table:
    """One row per step; times are medians over the conversations, in seconds."""
    times, samples = _times(histories), _samples(metrics)
    rows = Table("step", "calls", "s each", "used", "$", "$ per conversation")
    total = 0.0
    for step, source, kind in PAID:
        found = {name: _sum(samples, name, source) for name in _NAMES}
        dollars = found["cost_dollars"]
        total += dollars
        used = (
            f"{found['audio_seconds'] / 60:.1f} min of speech"
            if kind == "audio"
            else f"{found['tokens']:,.0f} tokens"
        )
        rows.add_row(
            step,
            f"{found['calls']:.0f}",
            f"{median(times[step]):.3f}",
            used,
            f"{dollars:.5f}",
            f"{dollars / len(made):.6f}",
        )
    for step in FREE:
        rows.add_row(step, str(len(times[step])), f"{median(times[step]):.3f}", "", "", "")
    speech = sum(it.seconds for it in made)
    rows.add_row(
        "all",
        str(len(made)),
        f"{seconds / len(made):.3f}",
        f"{speech / seconds:.1f} times as fast as spoken",
        f"{total:.5f}",
        f"{total / len(made):.6f}",
    )
    return rows


_NAMES = ("calls", "tokens", "audio_seconds", "cost_dollars")


def _times(histories: Iterable[dict[str, Any]]) -> dict[str, list[float]]:
    """Seconds by link or storage."""
    times: dict[str, list[float]] = {}
    for history in histories:
        for event in history["events"]:
            for step in (*event.get("links", ()), *event.get("storages", ())):
                times.setdefault(step["name"], []).append(step["ms"] / 1000)
    return times


def _samples(metrics: str) -> list[Any]:
    return [
        sample
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name.startswith("vconflow_provider_")
    ]


def _sum(samples: list[Any], name: str, source: str) -> float:
    """All of one counter whose labels name the provider or the model."""
    return sum(
        sample.value
        for sample in samples
        if sample.name == f"vconflow_provider_{name}_total" and source in sample.labels.values()
    )
