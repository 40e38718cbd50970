"""What storages that keep files or objects have in common: where a vCon is, and what failed."""

from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from vconflow.errors import PartialFailure, Permanent, Retryable
from vconflow.model.identifiers import canonical_uuid

__all__ = ["folder_of", "raise_failures", "uuid_in_path"]

_EPOCH: Final = date(1970, 1, 1)
_SECONDS_OF_A_DAY: Final = 86_400


def folder_of(created_at: float) -> str:
    """Return `YYYY/MM/DD`, in UTC, of Unix seconds.

    Empty for a vCon that does not say when it was made (0), or names a year that is none.
    """
    if not created_at:
        return ""
    try:
        return _folder_of_day(int(created_at // _SECONDS_OF_A_DAY))
    except (OverflowError, ValueError):
        return ""


def uuid_in_path(uuid: str) -> str:
    """Return a uuid in the one form that may be part of a path. Raises Permanent."""
    try:
        return canonical_uuid(uuid)
    except ValueError:
        raise Permanent("not a UUID") from None


def raise_failures(failures: Mapping[str, Exception], count: int) -> None:
    """Raise what stands for the failures by uuid in a batch of so many; nothing without one."""
    if not failures:
        return
    if len(failures) == count and all(isinstance(it, Retryable) for it in failures.values()):
        raise next(iter(failures.values()))
    raise PartialFailure(failures)


@lru_cache(maxsize=4096)
def _folder_of_day(days: int) -> str:
    """Return the folder of the day so long after the epoch. Raises OverflowError."""
    day = _EPOCH + timedelta(days)
    return f"{day.year:04}/{day.month:02}/{day.day:02}"
