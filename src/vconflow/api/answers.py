"""The JSON objects that clients are answered with, as far as no port has them already."""

from typing import Annotated

from msgspec import Meta, Struct

from vconflow.api.dead_letter_form import DeadLetterSummary
from vconflow.api.services import Dependency

__all__ = [
    "BulkReport",
    "ConfigVersionSummary",
    "DeadLetterPage",
    "DeadLettersMoved",
    "DeadLettersPurged",
    "Deletion",
    "Health",
    "NewestDeadLetters",
    "Place",
    "Problems",
    "QueueDepth",
    "Readiness",
    "Refusal",
    "RejectedLine",
    "StorageDeletion",
    "Version",
]

Count = Annotated[int, Meta(ge=0)]


class Version(Struct, frozen=True):
    """Which build is running."""

    version: str
    git_commit: str
    build_time: str


class Health(Struct, frozen=True):
    """That the process is alive."""

    status: str
    version: Version


class Readiness(Struct, frozen=True):
    """`status` is ready, degraded, unavailable or stopping."""

    status: str
    dependencies: list[Dependency]


class QueueDepth(Struct, frozen=True):
    """How many entries of a list nobody has taken yet."""

    list_name: str
    depth: Count


class Place(Struct, frozen=True):
    """One thing that is wrong, and where; it never quotes what was sent."""

    loc: list[str | int]
    msg: str
    type: str


class Refusal(Struct, frozen=True):
    """Why a request was refused, in words."""

    detail: str


class Problems(Struct, frozen=True):
    """Everything found wrong with a request."""

    detail: list[Place]


class RejectedLine(Struct, frozen=True):
    """A line of a bulk load that can never be accepted."""

    line: int
    detail: list[Place] | str


class BulkReport(Struct, frozen=True):
    """What became of a bulk load; `rejected` holds the first 1,000 lines."""

    accepted: Count
    rejected_count: Count
    rejected: list[RejectedLine]


class StorageDeletion(Struct, frozen=True):
    """How a deletion went in one storage; `error` is empty when it holds nothing now."""

    ok: bool
    error: str = ""


class Deletion(Struct, frozen=True):
    """A deletion that some storages have not done; `found` is whether there was a copy."""

    uuid: str
    found: bool
    storages: dict[str, StorageDeletion]


class DeadLetterPage(Struct, frozen=True):
    """A page of dead letters; `cursor` is null at the end."""

    dead_letters: list[DeadLetterSummary]
    cursor: str | None


class NewestDeadLetters(Struct, frozen=True):
    """The newest dead letters, and how many there are in all."""

    dead_letters: list[DeadLetterSummary]
    total: Count


class DeadLettersMoved(Struct, frozen=True):
    """A step of a replay; `total` is how many are left in these lists, matching or not."""

    replayed: Count
    scanned: Count
    total: Count
    cursor: str | None


class DeadLettersPurged(Struct, frozen=True):
    """A step of a purge; `total` is how many are left in these lists, matching or not."""

    purged: Count
    scanned: Count
    total: Count
    cursor: str | None


class ConfigVersionSummary(Struct, frozen=True):
    """A version of the configuration; `at` is Unix seconds, `current` whether it is in force."""

    version: int
    hash: str
    at: float
    by: str
    comment: str
    current: bool
