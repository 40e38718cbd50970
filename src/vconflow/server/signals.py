"""What signals do to the process, from before anything is opened until all is closed."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

__all__ = ["Hangups", "hangups_caught", "stop_signals"]

_STOP = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stop_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at the first SIGTERM or SIGINT; the second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def received() -> None:
        # The second time, the default: nothing is lost by it.
        for number in _STOP:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in _STOP:
        loop.add_signal_handler(number, received)
    try:
        yield
    finally:
        for number in _STOP:
            loop.remove_signal_handler(number)


class Hangups:
    """SIGHUPs that came: what is called at each is known only when everything is open."""

    def __init__(self) -> None:
        self._came = False
        self._call: Callable[[], None] | None = None

    def came(self) -> None:
        """One came."""
        self._came = True
        if self._call is not None:
            self._call()

    def tell(self, call: Callable[[], None]) -> None:
        """Call this at each from now on, and at once if one came before."""
        self._call = call
        if self._came:
            call()


@contextlib.contextmanager
def hangups_caught() -> Iterator[Hangups]:
    """Keep SIGHUP from ending the process, which is what it does by default."""
    loop = asyncio.get_running_loop()
    hangups = Hangups()
    loop.add_signal_handler(signal.SIGHUP, hangups.came)
    try:
        yield hangups
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        # What is left is the end of the process, and that shall say how it went.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
