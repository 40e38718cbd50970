"""Reading the logs of the replicas for what nobody expected."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Logged", "read_logs"]

_LONGEST = 12000
_MOST = 20


@dataclass
class Logged:
    """How often each event was logged, and the text of errors that nothing expected."""

    events: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """The text, each once, and how often; differing numbers make differing texts."""


def read_logs(paths: Iterable[Path]) -> Logged:
    """Count the JSON lines by event; whatever is no JSON was written by no logger."""
    logged = Logged()
    for path in paths:
        if path.exists():
            with path.open(errors="replace") as lines:
                for text in _unexpected(lines, logged):
                    if text in logged.errors or len(logged.errors) < _MOST:
                        logged.errors[text] += 1
    return logged


def _unexpected(lines: Iterable[str], logged: Logged) -> Iterator[str]:
    loose: list[str] = []
    for line in lines:
        event = _decoded(line)
        if event is None:
            loose.append(line)
            continue
        name = str(event.get("event"))
        logged.events[f"{event.get('level')} {name}"] += 1
        if name == "unhandled" or "exception" in event:
            where, trace = event.get("where", name), str(event.get("exception", ""))
            yield f"{where}\n{trace}"[-_LONGEST:]
    if text := "".join(line for line in loose if not line.startswith("warning:")).strip():
        # Refusals to start while Redis was away are told by `error:` lines and counted elsewhere.
        rest = [line for line in text.splitlines() if not line.startswith("error:")]
        if rest:
            yield "\n".join(rest)[-_LONGEST:]


def _decoded(line: str) -> dict[str, Any] | None:
    try:
        decoded = json.loads(line)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None
