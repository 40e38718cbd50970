"""Whether what a step depends on is down.

A closed breaker lets every call through and counts outages in a row. At `threshold` it opens: then
calls are refused with `Paused`, entries that need them are parked, and only trials go through. The
first call that succeeds closes it and lets everything parked go on.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vconflow.errors import Retryable
from vconflow.pipeline.retry import asked_to_wait
from vconflow.telemetry import events

__all__ = ["Breaker", "Breakers", "Paused"]

UNLIMITED = 1 << 30

_TRIALS = 2
"""One for an entry that was parked and one for a new one: the former may itself be at fault."""


class Paused(Retryable):
    """The call was not made: what it needs is down."""


@dataclass(eq=False)
class Breaker:
    """One dependency, called `storage:<name>` or `link:<name>`.

    `failures` counts outages since the last success, which was at `last_success` (Unix seconds);
    `openings` counts how often it opened.
    `retry_after` is how many seconds the other side asked us to stay away. A retired one guards
    what is not configured any more and never opens: nobody is to wait for that.
    """

    name: str
    threshold: int
    on_change: Callable[["Breaker"], None]
    now: Callable[[], float]
    failures: int = 0
    last_success: float = 0.0
    openings: int = 0
    retry_after: float = 0.0
    error: str = ""
    opened_at: float | None = None
    trials: int = 0
    is_told: bool = False
    is_retired: bool = False
    _parked: OrderedDict[asyncio.Future[None], None] = field(default_factory=OrderedDict)

    @property
    def is_open(self) -> bool:
        """Whether calls are refused."""
        return self.opened_at is not None

    @property
    def seconds_open(self) -> float:
        """For how long it has been open."""
        return 0.0 if self.opened_at is None else time.monotonic() - self.opened_at

    def admit(self) -> None:
        """Return when the call may be made, which may use up a trial. Raises Paused."""
        if self.opened_at is None:
            return
        if not self.trials:
            raise Paused(f"{self.name} is down: {self.error}")
        self.trials -= 1

    def succeeded(self) -> None:
        """A call went through."""
        self.failures = 0
        self.last_success = self.now()
        if self.opened_at is not None:
            self._close()

    def answered(self) -> None:
        """A call was refused for good: whoever can refuse is not away.

        Unless a link refused by itself what it need not ask anybody about. So it counts as no
        success, and the next outage opens again.
        """
        if self.opened_at is not None:
            self._close_on_probation()

    def failed(self, error: BaseException) -> None:
        """A call met an outage."""
        self.failures += 1
        self.note(error)
        if self.failures >= self.threshold:
            self.trip()

    def note(self, error: BaseException) -> None:
        """Remember what is wrong."""
        self.error = str(error) or type(error).__name__
        self.retry_after = asked_to_wait(error)

    def trip(self) -> None:
        """Open at once."""
        if self.opened_at is None and not self.is_retired:
            self.opened_at = time.monotonic()
            self.openings += 1
            self.trials = 0
            self.is_told = False
            self.on_change(self)

    def tell(self) -> None:
        """Put into the log that it is open, once.

        One that closes before the first probe is not worth a line: a service that refuses every
        other call would fill the log.
        """
        if self.opened_at is not None and not self.is_told:
            self.is_told = True
            events.breaker_opened(self.name, self.error)

    def grant(self) -> None:
        """Let a few calls through on trial, first one of an entry that was parked.

        When nobody is parked there is nobody to try it: then it closes, and opens again at the
        next outage.
        """
        if self.opened_at is None:
            return
        self.trials = _TRIALS
        if self._wake_first():
            self.on_change(self)
        else:
            self._close_on_probation()

    def renew(self) -> None:
        """What it guards was configured anew: the next call will show whether that works."""
        self.retry_after = 0.0
        if self.opened_at is not None:
            self._close_on_probation()

    def park(self, passage: asyncio.Future[None]) -> None:
        """Have `passage` done when the breaker closes or grants a trial."""
        self._parked[passage] = None

    def unpark(self, passage: asyncio.Future[None]) -> None:
        """Forget one that need not wait any more: another breaker let it go, or it was lost."""
        self._parked.pop(passage, None)

    def _close_on_probation(self) -> None:
        self._close()
        self.failures = self.threshold - 1

    def _close(self) -> None:
        seconds, self.opened_at = self.seconds_open, None
        if self.is_told:
            events.breaker_closed(self.name, seconds)
        while self._wake_first():
            pass
        self.on_change(self)

    def _wake_first(self) -> bool:
        while self._parked:
            passage, _ = self._parked.popitem(last=False)
            if not passage.done():  # just now
                passage.set_result(None)
                return True
        return False


class Breakers:
    """The breakers of a replica by name, made when they are first asked for.

    Assign `on_change` to be told when one opens, closes or grants a trial. `now` is the clock of
    the replica, in Unix seconds.
    """

    def __init__(self, threshold: int = 5, now: Callable[[], float] = time.time) -> None:
        self._threshold = threshold
        self._now = now
        self._all: dict[str, Breaker] = {}
        self._open: dict[str, Breaker] = {}
        self._configured: frozenset[str] | None = None
        self.on_change: Callable[[Breaker], None] = lambda _: None

    def of(self, name: str) -> Breaker:
        """The breaker of a dependency."""
        breaker = self._all.get(name)
        if breaker is None:
            breaker = self._all[name] = Breaker(name, self._threshold, self._changed, self._now)
            breaker.is_retired = self._configured is not None and name not in self._configured
            if not breaker.is_retired:
                events.breaker_changed(name, is_open=False)
        return breaker

    def configure(self, names: Iterable[str], changed: Iterable[str]) -> None:
        """From now on there are breakers of these names only; what some guard has `changed`.

        Entries that waited for what is changed or gone go on.
        """
        self._configured = frozenset(names)
        for name, breaker in list(self._all.items()):
            was_retired, breaker.is_retired = breaker.is_retired, name not in self._configured
            if breaker.is_retired:
                breaker.renew()
                events.breaker_gone(name)
            elif was_retired:
                events.breaker_changed(name, is_open=False)
        for name in self._configured.intersection(changed):
            self.of(name).renew()

    @property
    def open_ones(self) -> list[Breaker]:
        """Every breaker that is open."""
        return list(self._open.values())

    def allowance(self, names: Iterable[str]) -> int:
        """How many new entries may be begun that will pass these breakers."""
        if not self._open:
            return UNLIMITED
        return min(
            (self._open[name].trials for name in names if name in self._open), default=UNLIMITED
        )

    def all_open(self, names: Sequence[str]) -> bool:
        """Whether there are names and nothing but open breakers behind them."""
        return bool(names) and all(name in self._open for name in names)

    async def passage(self, names: Sequence[str]) -> None:
        """Wait until one of the breakers closes or grants a trial."""
        if not self.all_open(names):
            return
        passage: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        breakers = [self._open[name] for name in names]
        for breaker in breakers:
            breaker.park(passage)
        try:
            await passage
        finally:
            for breaker in breakers:
                breaker.unpark(passage)

    def _changed(self, breaker: Breaker) -> None:
        if breaker.is_open:
            self._open[breaker.name] = breaker
        else:
            self._open.pop(breaker.name, None)
        events.breaker_changed(breaker.name, is_open=breaker.is_open)
        self.on_change(breaker)
