"""One call of a module: what it sees of the server, and what it asks for, from its thread."""

import asyncio
import copy
import inspect
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from vconflow.adapters.modules.hiding import hiding
from vconflow.errors import InvalidVcon, Permanent
from vconflow.model.identifiers import canonical_uuid
from vconflow.model.rawjson import decode_plain, encode
from vconflow.model.validation import validate
from vconflow.ports.modules import ModuleHost

__all__ = ["GivenUp", "ModuleCall", "current"]

ResultT = TypeVar("ResultT")

_current: "ContextVar[ModuleCall]" = ContextVar("vconflow_module_call")


class GivenUp(RuntimeError):
    """The call took too long or its entry is somebody else's: what it does counts no more."""


def current() -> "ModuleCall":
    """The call that this thread is in. Raises RuntimeError outside of any."""
    call = _current.get(None)
    if call is None:
        raise RuntimeError(
            "vCons can be reached only while vconflow calls run(), save() or delete(), and in the "
            "thread that it calls them in"
        )
    return call


class ModuleCall:
    """Made on the loop, used in a thread.

    The vCon `uuid` is in memory: it is read and written there, and the engine takes what became
    of it when the call has ended. All others are those of the server. `lists` receive the vCon in
    the end; `expire_seconds` is how long it stays in Redis then.
    """

    def __init__(
        self,
        host: ModuleHost,
        uuid: str,
        document: bytes | None = None,
        *,
        may_change: bool = False,
    ) -> None:
        self.uuid = uuid
        self.document = document
        self.is_changed = False
        self.lists: list[str] = []
        self.expire_seconds: int | None = None
        self._host = host
        self._may_change = may_change
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._is_over = False

    # On the loop

    def end(self) -> None:
        """Let nothing that the module does from here on count."""
        with self._lock:
            self._is_over = True

    # In the thread

    def run(
        self, function: Callable[..., ResultT], options: dict[str, Any], *arguments: object
    ) -> ResultT:
        """Call a function of the module, with a copy of its options behind the other arguments.

        One that is a coroutine gets a loop in this thread. What it raises tells no credential of
        the options.
        """
        _current.set(self)
        with hiding(options):
            result: Any = function(*arguments, copy.deepcopy(options))
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
        returned: ResultT = result
        return returned

    def is_own(self, uuid: str) -> bool:
        """Whether it is the vCon that this call is about."""
        return _canonical(uuid) == self.uuid

    def read(self, uuid: str) -> dict[str, Any] | None:
        """A copy of a vCon, None when there is none."""
        self._require_going_on()
        own = self.is_own(uuid) and self.document is not None
        document = self.document if own else self._ask(self._host.get(_canonical(uuid)))
        if document is None:
            return None
        read: dict[str, Any] = decode_plain(document)
        return read

    def write(self, vcon: dict[str, Any]) -> None:
        """Store a vCon. Raises Permanent when it is none, GivenUp, RuntimeError in a storage."""
        document = encode(vcon)
        try:
            uuid = validate(document).uuid
        except InvalidVcon as error:
            raise Permanent(f"what the module stores is no vCon: {error}") from error
        if uuid != self.uuid:
            self._require_going_on()
            self._ask(self._host.save(document))
            return
        if not self._may_change:
            raise RuntimeError("a storage cannot change the vCon that it stores")
        with self._lock:
            self._require_going_on()
            self.document, self.is_changed = document, True

    def enqueue(self, list_name: str, uuid: str) -> int:
        """Put a vCon on a list: this one when its chain has finished, another one now."""
        self._require_going_on()
        if self.is_own(uuid) and self._may_change:
            if list_name not in self.lists:
                self.lists.append(list_name)
            return 1
        return int(self._ask(self._host.enqueue(_canonical(uuid), list_name)))

    def expire(self, uuid: str, seconds: int) -> bool:
        """Let this vCon leave Redis so long after its chain; False for any other."""
        self._require_going_on()
        if not (self.is_own(uuid) and self._may_change):
            return False
        self.expire_seconds = seconds
        return True

    def tell(self, happened: Callable[..., None], *arguments: object) -> None:
        """Report an event of the module on the loop."""
        self._loop.call_soon_threadsafe(happened, *arguments)

    def _require_going_on(self) -> None:
        if self._is_over:
            raise GivenUp("this call was given up: nothing that it stores counts any more")

    def _ask(self, question: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(question, self._loop).result()


def _canonical(uuid: object) -> str:
    """The uuid as a key; what is none is the key of nothing."""
    try:
        return canonical_uuid(str(uuid))
    except ValueError:
        return str(uuid)
