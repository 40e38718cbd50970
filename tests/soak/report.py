"""The report: the same on the terminal, as Markdown and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .memory import Flatness, judge
from .replica import Life
from .run import Soaked

__all__ = ["Report", "make_report", "show", "write"]

_MOST = 50


@dataclass(frozen=True)
class Report:
    """`failures` say why the run failed; `sections` are title → lines or rows."""

    failures: list[str]
    sections: dict[str, dict[str, Any]]
    details: dict[str, list[str]]


def make_report(soaked: Soaked) -> Report:
    """Bring the run into the form of a report."""
    account, cases = soaked.account, soaked.cases
    return Report(
        list(_failures(soaked)),
        {
            "vCons": {
                "sent": len(cases.all),
                "accepted": account.accepted,
                "completed": account.completed,
                "dead": account.dead.total(),
                "deleted": account.deleted,
                "deletion with unknown outcome": account.unsure,
                "still open": account.waiting,
                "lost": len(account.lost),
            },
            "Stored": dict(account.stored),
            "At egress (different vCons)": dict(account.popped),
            "Dead at the end": dict(account.dead),
            "Dead letters ever": soaked.dead_ever,
            "Handed out more than once at egress": dict(account.egress_again),
            "Sent more than once to the webhook": dict(account.webhook_again),
            "Faults": dict(Counter(item.fault.kind for item in soaked.log.struck)),
            "On the way": dict(cases.counts),
            "Throughput": _throughput(soaked),
            "Memory of the replicas (MiB)": _memory(soaked),
            "Memory of Redis (MiB)": _described(judge(soaked.redis_memory)),
            "Lists at the end": {name: asdict(depth) for name, depth in soaked.depths.items()},
            "Log lines": {
                name: count
                for name, count in soaked.logged.events.most_common()
                if not name.startswith("debug")
            },
        },
        {
            "Lost": [f"{uuid}: {what}" for uuid, what in account.lost.items()],
            "Broken promises": account.broken,
            "Unexpected ends of processes": soaked.unexpected,
            "Problems": cases.problems,
            "Errors in the logs": [
                f"{count} times: {text}" for text, count in soaked.logged.errors.items()
            ],
        },
    )


def show(report: Report, console: Console) -> None:
    """Print it for people."""
    for title, rows in report.sections.items():
        if rows:
            console.print(Text(title, "bold"))
            console.print(_table(rows))
    for title, items in report.details.items():
        if items:
            console.rule(title, align="left")
            for item in items[:_MOST]:
                console.print(Text(item), soft_wrap=True)
            if len(items) > _MOST:
                console.print(f"and {len(items) - _MOST} more")
    for text in report.failures:
        console.print(Text(f"FAILED: {text}", "bold red"))
    if not report.failures:
        console.print(Text("passed", "bold green"))


def write(report: Report, file: Path) -> None:
    """Write `file` as Markdown, and as JSON beside it, whatever its suffix."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".md").write_text(_markdown(report))
    file.with_suffix(".json").write_text(json.dumps(asdict(report), indent=2) + "\n")


def _failures(soaked: Soaked) -> Iterator[str]:
    account = soaked.account
    if not account.accepted:
        yield "nothing was accepted"
    if account.lost:
        yield f"{len(account.lost)} vCons are lost"
    if account.waiting or not soaked.settled:
        yield f"not settled in {soaked.options.settle:g} s: {account.waiting} vCons are still open"
    if account.broken:
        yield f"{len(account.broken)} promises are broken"
    if soaked.unexpected:
        yield f"{len(soaked.unexpected)} times a process ended by itself or in a wrong way"
    if soaked.cases.counts["problems"]:
        yield f"{soaked.cases.counts['problems']} problems"
    if soaked.logged.errors:
        yield f"{soaked.logged.errors.total()} unexpected errors in the logs"
    for life in soaked.lives:
        flatness = judge(life.memory)
        if flatness is not None and flatness.flat is False:
            yield f"the memory of {life.replica} (pid {life.pid}) is not flat"


def _throughput(soaked: Soaked) -> dict[str, Any]:
    seconds = soaked.loaded - soaked.began
    settling = soaked.settled - soaked.loaded
    return {
        "seconds of load": round(seconds, 1),
        "seconds to settle": round(settling, 1) if soaked.settled else "not settled",
        "accepted a second": round(soaked.account.accepted / seconds, 1),
    }


def _memory(soaked: Soaked) -> dict[str, Any]:
    return {_name(life): _life(life) for life in soaked.lives}


def _name(life: Life) -> str:
    return f"{life.replica} ({life.pid})"


def _life(life: Life) -> dict[str, Any]:
    facts = {"seconds": round(life.ended - life.began), "ended by": life.meant or "itself"}
    return {**facts, "exit": life.code, **_described(judge(life.memory))}


def _described(flatness: Flatness | None) -> dict[str, Any]:
    if flatness is None:
        return {}
    flat = {True: "yes", False: "NO", None: "?"}[flatness.flat]
    return {
        "at first": round(flatness.first_quarter, 1),
        "at last": round(flatness.last_quarter, 1),
        "a minute": round(flatness.slope, 2),
        "flat": flat,
    }


def _markdown(report: Report) -> str:
    lines = ["# Soak", ""]
    lines += [f"- **FAILED: {text}**" for text in report.failures] or ["**Passed.**"]
    for title, rows in report.sections.items():
        if rows:
            lines += ["", f"## {title}", "", *_rows(rows)]
    for title, items in report.details.items():
        if items:
            lines += ["", f"## {title}", ""]
            for item in items:
                lines += [f"- `{item}`"] if "\n" not in item else ["```", item, "```"]
    return "\n".join(lines) + "\n"


def _rows(rows: Mapping[str, Any]) -> Iterator[str]:
    head, *body = _cells(rows)
    for line in (head, ["---"] * len(head), *body):
        yield f"| {' | '.join(line)} |"


def _table(rows: Mapping[str, Any]) -> Table:
    head, *body = _cells(rows)
    table = Table(show_header=any(head), box=SIMPLE, pad_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name or not any(head) else "left")
    table.columns[0].justify, table.columns[0].no_wrap = "left", True
    for line in body:
        table.add_row(*map(escape, line))
    return table


def _cells(rows: Mapping[str, Any]) -> list[list[str]]:
    """The head and the lines; a value is one figure, or several by the name of their column."""
    tables = [value for value in rows.values() if isinstance(value, dict)]
    names = list(dict.fromkeys(name for value in tables for name in value))
    lines = [["", *(names or [""])]]
    for name, value in rows.items():
        cells = [value.get(key, "") for key in names] if isinstance(value, dict) else [value]
        lines.append(
            [name, *(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells)]
        )
    return lines
