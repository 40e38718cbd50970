"""Where the objects of a vCon are, as the reference conserver lays them out.

`[path/]YYYY/MM/DD/uuid.vcon` is the vCon, `[path/]lookup/uuid.txt` holds its `YYYY/MM/DD`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vconflow.errors import Permanent
from vconflow.ports.objects import FoundObject, ObjectState

__all__ = ["NEVER", "Keys", "Pointer", "labels_of", "rev_of"]

NEVER: Final = -1
"""The revision of what somebody else wrote, the reference for one: older than any of ours."""
_DAY: Final = re.compile(r"(?:\d{4,}/\d\d/\d\d)?")
_REV: Final = "vconflow-rev"
_ALSO: Final = "vconflow-also"
_NO_DAY: Final = "-"
"""An empty label may not be kept at all."""


class Keys:
    """The keys of one vCon."""

    def __init__(self, path: str | None, uuid: str) -> None:
        self._prefix = f"{path.rstrip('/')}/" if path else ""
        self._name = f"{uuid}.vcon"
        self.lookup = f"{self._prefix}lookup/{uuid}.txt"

    def vcon(self, day: str) -> str:
        """The vCon in the folder of a day, or in none."""
        return f"{self._prefix}{day}/{self._name}" if day else f"{self._prefix}{self._name}"


@dataclass(frozen=True)
class Pointer:
    """What a lookup says: the day of the vCon, and where a move has or may have left another copy.

    The reference reads the day alone, so the other one is in the metadata.
    """

    day: str
    also: str | None = None
    etag: str = ""

    @classmethod
    def read(cls, found: FoundObject) -> "Pointer":
        """Raises Permanent for what is no lookup: it would lead to any key."""
        day, also = found.content.decode(errors="replace").strip(), found.metadata.get(_ALSO)
        if also is not None:
            also = also.removeprefix(_NO_DAY)
        if not all(_DAY.fullmatch(text) for text in (day, also or "")):
            raise Permanent("the lookup of the vCon holds no date")
        return cls(day, None if also == day else also, found.etag)

    @property
    def days(self) -> tuple[str, ...]:
        """Every folder that may have a copy, the one that counts first."""
        return (self.day,) if self.also is None else (self.day, self.also)

    @property
    def metadata(self) -> Mapping[str, str]:
        """What is kept with the lookup."""
        return {} if self.also is None else {_ALSO: self.also or _NO_DAY}


def labels_of(rev: int) -> Mapping[str, str]:
    """What is kept with a vCon."""
    return {_REV: str(rev)}


def rev_of(state: ObjectState | None) -> int:
    """The revision of what is there."""
    text = "" if state is None else state.metadata.get(_REV, "")
    return int(text) if text.isascii() and text.isdecimal() else NEVER
