"""What a soak is like, and the configuration it runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "FINAL", "FIRST", "INGRESS", "LEASE", "LISTS", "MIDDLE", "STORAGES", "WEBHOOK_TIMEOUT",
    "Options", "configuration",
]  # fmt: skip

INGRESS, MIDDLE = "in", "middle"
FIRST, FINAL = "first-out", "final-out"
"""Egress lists of the first chain, and of the second, which `MIDDLE` feeds."""
LISTS = (INGRESS, MIDDLE, FIRST, FINAL)
STORAGES = {"postgres": ("first", "second"), "files": ("first",), "archive": ("second",)}
"""Storage → the chains that write to it, each of which leaves a tag of its name."""

LEASE = 3.0
WEBHOOK_TIMEOUT = 4.0


@dataclass(frozen=True)
class Options:
    """Times are in seconds, `rate` and `burst` in vCons."""

    seconds: float = 600.0
    seed: int = 1
    rate: float = 20.0
    burst: int = 150
    replicas: int = 3
    settle: float = 180.0
    mean_gap: float = 5.0
    """Between the beginnings of two faults."""


def configuration(folder: Path, webhook: str, dsn: str) -> dict[str, Any]:
    """Two chains, the second fed by the first, over three storages."""
    # Quick, so that outages of seconds are met by many attempts.
    retry = {"attempts": 12, "base": 0.2, "max": 3}

    def files(name: str) -> dict[str, Any]:
        options = {"path": str(folder / name), "organize_by_date": False}
        return {"module": "storage.file", "options": options, "retry": retry}

    def tag(name: str) -> dict[str, Any]:
        return {"module": "links.tag", "options": {"tags": [f"chain:{name}"]}}

    hook = {"webhook-urls": [webhook], "timeout": WEBHOOK_TIMEOUT}
    return {
        "links": {
            "tag_first": tag("first"),
            "tag_second": tag("second"),
            "hook": {"module": "links.webhook", "options": hook, "retry": retry},
        },
        "storages": {
            "postgres": {
                "module": "storage.postgres",
                "options": {"dsn": dsn, "connect_timeout": 3},
                "timeout": 6,
                "retry": retry,
            },
            "files": files("files"),
            "archive": files("archive"),
        },
        "chains": {
            "first": {
                "links": ["tag_first", "hook"],
                "storages": ["postgres", "files"],
                "ingress_lists": [INGRESS],
                "egress_lists": [FIRST, MIDDLE],
            },
            "second": {
                "links": ["tag_second"],
                "storages": ["postgres", "archive"],
                "ingress_lists": [MIDDLE],
                "egress_lists": [FINAL],
            },
        },
    }
