"""What this replica knows of the stored version, of the one it runs by, and of what is wrong."""

import time
from collections.abc import Callable
from typing import Final

from vconflow.errors import ConfigError, Problem
from vconflow.live_config.trouble import Troubles
from vconflow.ports.config_store import ConfigVersion
from vconflow.telemetry import events

__all__ = ["InForce"]

_TRY_AGAIN_SECONDS: Final = 60.0
"""Until a stored version that could not be used is tried again: its storage may be back."""


class InForce:
    """`stored` is the newest version as far as known; `serial` and `file_hash` are those of the one
    in force.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.stored: ConfigVersion | None = None
        self.serial = 0
        self.file_hash = ""
        self.troubles = Troubles()
        self._monotonic = monotonic
        self._try_again_at = 0.0

    @property
    def stored_serial(self) -> int:
        """The serial of the stored version, 0 while none is known."""
        return self.stored.serial if self.stored else 0

    @property
    def is_worth_another_try(self) -> bool:
        """Whether the stored version could not be used, some time ago."""
        return self.serial != self.stored_serial and self._monotonic() >= self._try_again_at

    def took(self, version: ConfigVersion, source: str) -> None:
        """This replica runs by a stored version from now on."""
        self.troubles.end("store")
        self.file_hash = version.file_hash
        if self.serial != version.serial:
            self.serial = version.serial
            events.config_applied(source, version.serial, version.hash, version.by)

    def refused_file(self, error: ConfigError, source: str) -> None:
        """What the file says cannot be used."""
        self._refused("file", "the file", error, source)

    def refused_stored(self, version: ConfigVersion, error: ConfigError, source: str) -> None:
        """A stored version cannot be used here."""
        self._try_again_at = self._monotonic() + _TRY_AGAIN_SECONDS
        self._refused("store", f"version {version.serial}", error, source)

    def _refused(self, origin: str, what: str, error: ConfigError, source: str) -> None:
        first: Problem = error.problems[0]
        others = f" and {len(error.problems) - 1} more" if len(error.problems) > 1 else ""
        where = f" at {first.place}" if first.place else ""
        self.troubles.begin(origin, f"{what} cannot be used: {first.type}{where}{others}")
        events.config_refused(source, len(error.problems), str(error))
