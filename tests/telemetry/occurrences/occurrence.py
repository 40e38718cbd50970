"""What is expected of an event."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

UUID = "0195544a-b9b1-8ee4-b9a2-279e0d16bc46"
ERROR = TimeoutError("no answer")


class Occurrence(NamedTuple):
    """What happens, the samples of the metrics that it changes, and the line at INFO or above."""

    happen: Callable[[], None]
    counted: Mapping[str, float]
    line: str | None
