"""Cutting connections to Redis inside, before and after chosen commands, behind a `tcp_proxy`."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vconflow.testing.tcp_proxy import Direction

__all__ = ["Command", "Cut", "RedisCuts", "message_end"]

Command = tuple[bytes, ...]
"""The name of a command and its arguments, as they were on the wire."""


@dataclass
class Cut:
    """A cut that waits for its command; it is made once.

    `at` is the share of the message that still passes: 0.0 cuts before its first byte, 1.0 after
    its last. In the direction of replies the message is the reply to the command.
    """

    wanted: Callable[[Command], bool]
    direction: Direction
    at: float
    done: bool = False


@dataclass
class RedisCuts:
    """What all connections of a proxy carried, and where they are to be cut.

    Give `tap` to `tcp_proxy`. `commands` are all that came from clients, in order.
    """

    commands: list[Command] = field(default_factory=list)
    _waiting: list[Cut] = field(default_factory=list)

    def add(self, wanted: Callable[[Command], bool], direction: Direction, at: float) -> Cut:
        """Cut the connection of the first command that is `wanted`."""
        cut = Cut(wanted, direction, at)
        self._waiting.append(cut)
        return cut

    def clear(self) -> None:
        """Cut no more."""
        self._waiting.clear()

    def tap(self) -> "_Conversation":
        """The tap of a new connection."""
        return _Conversation(self)

    def saw(self, command: Command) -> Cut | None:
        """Note a command; the cut that waited for it."""
        self.commands.append(command)
        for cut in self._waiting:
            if cut.wanted(command):
                self._waiting.remove(cut)
                return cut
        return None


class _Conversation:
    """One connection: commands and, in the same order, their replies."""

    def __init__(self, cuts: RedisCuts) -> None:
        self._cuts = cuts
        self._held = dict.fromkeys(Direction, b"")
        self._unanswered: deque[Cut | None] = deque()

    def take(self, direction: Direction, chunk: bytes) -> tuple[bytes, bool]:
        """See `Tap.take`: passes whole messages on, and of the one to be cut its part."""
        held = self._held[direction] + chunk
        start = 0
        while (end := message_end(held, start)) is not None:
            cut = self._next(direction, held[start:end])
            if cut is not None and cut.direction is direction:
                cut.done = True
                return held[: start + int((end - start) * cut.at)], True
            start = end
        self._held[direction] = held[start:]
        return held[:start], False

    def _next(self, direction: Direction, message: bytes) -> Cut | None:
        if direction is Direction.REPLIES:
            return self._unanswered.popleft()
        cut = self._cuts.saw(_arguments(message))
        self._unanswered.append(cut)
        return cut


def message_end(data: bytes, start: int) -> int | None:
    """Where the RESP2 message that begins at `start` ends; None while it is incomplete."""
    line = data.find(b"\r\n", start)
    if line < 0:
        return None
    kind, end = data[start : start + 1], line + 2
    if kind in b"+-:":
        return end
    size = int(data[start + 1 : line])
    if kind == b"$":
        end += size + 2 if size >= 0 else 0
        return end if end <= len(data) else None
    for _ in range(size):
        after = message_end(data, end)
        if after is None:
            return None
        end = after
    return end


def _arguments(message: bytes) -> Command:
    parts: Sequence[bytes] = message.split(b"\r\n", 1)
    count, at = int(parts[0][1:]), len(parts[0]) + 2
    arguments = []
    for _ in range(count):
        line = message.index(b"\r\n", at)
        size = int(message[at + 1 : line])
        arguments.append(message[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return tuple(arguments)
