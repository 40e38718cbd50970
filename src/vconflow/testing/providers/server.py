"""What the loopback servers of all providers have in common."""

import json
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from vconflow.testing.webhook_receiver import Received, Reply, WebhookReceiver

__all__ = ["Call", "Decide", "ProviderServer", "json_reply", "served"]

ServerT = TypeVar("ServerT", bound="ProviderServer")


@dataclass(frozen=True)
class Call:
    """One request, as the provider understands it.

    `kind` is `chat`, `embeddings` or `transcription`. `options` are the members of a JSON body, the
    fields of a form, and those of the query; `recording` is what was uploaded. `key` is the
    credential without its scheme, `model` the one asked for.
    """

    kind: str
    path: str
    key: str
    model: str
    options: Mapping[str, Any]
    headers: Mapping[str, str]
    recording: bytes = field(default=b"", repr=False)

    @property
    def prompt(self) -> str:
        """The contents of all messages of a chat, a line each."""
        return "\n".join(str(message["content"]) for message in self.options.get("messages", ()))


Decide = Callable[[Call], Reply | None]

_TOGETHER_SECONDS = 10.0


class ProviderServer(ABC):
    """Counts and records calls; answers each with a queued reply, by `decide`, or truly.

    `keys` are the credentials that are accepted, None accepts any that is there. `seconds` is how
    long each call takes, `most_at_once` how many were under way at the same time; the first calls
    wait for each other until so many are `together`. What the test's own functions raise fails the
    test when the server is closed.
    """

    def __init__(self, decide: Decide | None, keys: Collection[str] | None) -> None:
        self.seconds = 0.0
        self.together = 1
        self.most_at_once = 0
        self.errors: list[Exception] = []
        self.keys = keys
        self._decide = decide
        self._replies: deque[Reply] = deque()
        self._calls: list[Call] = []
        self._under_way = 0
        self._news = threading.Condition()
        self._receiver = WebhookReceiver(self._record)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self._receiver.url

    @property
    def calls(self) -> list[Call]:
        """What was asked so far, in order of arrival."""
        with self._news:
            return list(self._calls)

    def counts(self) -> Counter[str]:
        """How often each kind of call came."""
        return Counter(call.kind for call in self.calls)

    def answer(self, *replies: Reply) -> None:
        """Queue replies for the next calls, one each: a fault, a status, a body."""
        with self._news:
            self._replies.extend(replies)

    def wait_for(self, count: int, timeout: float = 30.0) -> list[Call]:
        """Block until `count` calls have come. Raises TimeoutError; not for the event loop."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._calls) >= count, timeout):
                raise TimeoutError(f"{len(self._calls)} of {count} calls came")
            return list(self._calls)

    def release(self) -> None:
        """Let calls that hang be answered, now and from now on."""
        self._receiver.release()

    @abstractmethod
    def understand(self, received: Received, path: str, query: Mapping[str, Any]) -> Call:
        """Make a call of a request."""

    @abstractmethod
    def reply(self, call: Call) -> Reply:
        """What the provider answers."""

    @abstractmethod
    def refusal(self, call: Call) -> Reply:
        """What the provider answers to a key that it does not know."""

    def serve(self) -> None:
        """Serve until `close`."""
        self._receiver.serve()

    def close(self) -> None:
        """Stop serving."""
        self._receiver.close()

    def _record(self, received: Received) -> Reply:
        parts = urlsplit(received.path)
        query = _several(parse_qsl(parts.query, keep_blank_values=True))
        call = self.understand(received, parts.path, query)
        with self._news:
            self._calls.append(call)
            queued = self._replies.popleft() if self._replies else None
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            self._news.notify_all()
            self._news.wait_for(lambda: self.most_at_once >= self.together, _TOGETHER_SECONDS)
        try:
            reply = queued or self._truly(call)
            time.sleep(self.seconds + reply.delay)
            return replace(reply, delay=0.0)
        except Exception as error:
            self.errors.append(error)
            raise
        finally:
            with self._news:
                self._under_way -= 1

    def _truly(self, call: Call) -> Reply:
        decided = self._decide(call) if self._decide else None
        if decided is not None:
            return decided
        if not call.key or (self.keys is not None and call.key not in self.keys):
            return self.refusal(call)
        return self.reply(call)


def _several(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Query or form fields; what is given more than once is a list."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            before = found[name]
            found[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            found[name] = value
    return found


def json_reply(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    """Answer with JSON."""
    headers = {"Content-Type": "application/json", **(headers or {})}
    return Reply(status, headers, json.dumps(content).encode())


@contextmanager
def served(server: ServerT) -> Iterator[ServerT]:
    """Run a server in a thread of its own."""
    thread = threading.Thread(target=server.serve, name=type(server).__name__, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
    if server.errors:
        raise server.errors[0]
