"""Running the Lua scripts of this folder.

A call is built with `ScriptCall`: keys and byte arguments get an index, a msgpack header refers to
them. Every key a script touches is declared, each only once however often it is used.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from vconflow.adapters.redis.client import PATIENCE
from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.errors import Unavailable
from vconflow.telemetry import events

__all__ = ["SaidOnce", "ScriptCall", "Scripts", "load_scripts"]

_encode = msgspec.msgpack.Encoder().encode

_CLOCK_ROUNDS = 3
_LATE = re.compile(r"(?:LATE )?(\d+)")


class ScriptCall:
    """Keys and arguments of one call. Indices start at 1, as Lua's do; argument 1 is the header."""

    __slots__ = ("_known", "_shared", "args", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.args: list[bytes] = []
        self._known: dict[str, int] = {}
        self._shared: dict[bytes, int] = {}

    def key(self, name: str) -> int:
        """The index of a key in KEYS."""
        index = self._known.get(name)
        if index is None:
            self.keys.append(name)
            index = self._known[name] = len(self.keys)
        return index

    def keys_in_a_row(self, *names: str) -> int:
        """The index of the first of some keys, behind which the others come."""
        self.keys += names
        return len(self.keys) - len(names) + 1

    def arg(self, value: bytes) -> int:
        """Add an argument; its index in ARGV."""
        self.args.append(value)
        return len(self.args) + 1

    def shared(self, value: bytes) -> int:
        """The index of an argument that is small, and likely to be there already."""
        return self._shared.get(value) or self._shared.setdefault(value, self.arg(value))


class SaidOnce:
    """What many items of a call have in common, so that each only says which of it is its own."""

    __slots__ = ("_last", "said")

    def __init__(self) -> None:
        self.said: list[list[Any]] = []
        self._last: object = None

    def index(self, what: object, say: Callable[[], list[Any]]) -> int:
        """Which of what was said is an item's, from 1. It is said anew unless `what` is the last.

        With None it is this item's alone.
        """
        if what is None or what != self._last:
            self.said.append(say())
        self._last = what
        return len(self.said)


def load_scripts() -> dict[str, str]:
    """The scripts by name, each with the prelude in front. Reads files: not for the event loop."""
    folder = resources.files("vconflow.adapters.redis").joinpath("scripts")
    prelude = folder.joinpath("prelude.lua").read_text()
    return {
        file.name.removesuffix(".lua"): prelude + file.read_text()
        for file in folder.iterdir()
        if file.name.endswith(".lua") and file.name != "prelude.lua"
    }


class Scripts:
    """The scripts, run by their hash and loaded again when the server has forgotten them."""

    def __init__(self, client: Redis, sources: Mapping[str, str], keys: Keys) -> None:
        self._client = client
        self._last_keys = (keys.ready, keys.bell)
        self._sources = sources
        self._hashes = {name: _sha1(source) for name, source in sources.items()}
        self._clock_ahead_ms = 0

    async def set_clock(self) -> None:
        """Learn the time of Redis, by which it tells what comes too late."""
        with redis_errors():
            seconds, _ = await self._client.execute_command("TIME")
        self._clock_ahead_ms = int(seconds) * 1000 - _now_ms()

    async def run(self, name: str, call: ScriptCall, header: list[Any]) -> Any:
        """Run a script, soon or never; raises `Unavailable` or `Permanent`."""
        started = time.perf_counter()
        with redis_errors():
            reply = await self._run(name, call, header)
        events.redis_done(name, time.perf_counter() - started)
        return reply

    async def _run(self, name: str, call: ScriptCall, header: list[Any]) -> Any:
        for _ in range(_CLOCK_ROUNDS):
            try:
                return await self._send(name, call, header)
            except ResponseError as error:
                late = _LATE.fullmatch(str(error))
                if late is None:
                    raise
                # The answer came in time, so it is a clock that was set.
                self._clock_ahead_ms = int(late[1]) - _now_ms()
        raise Unavailable("the clock of Redis keeps changing")

    async def _send(self, name: str, call: ScriptCall, header: list[Any]) -> Any:
        deadline = _now_ms() + self._clock_ahead_ms + int(PATIENCE * 1000)
        keys = (*call.keys, *self._last_keys)
        rest = (len(keys), *keys, _encode([deadline, header]), *call.args)
        try:
            return await self._execute(name, "EVALSHA", self._hashes[name], *rest)
        except NoScriptError:
            return await self._execute(name, "EVAL", self._sources[name], *rest)

    async def _execute(self, name: str, *command: Any) -> Any:
        return await self._client.execute_command(*command)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _sha1(source: str) -> str:
    # The name by which Redis knows a script, not a safeguard.
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
