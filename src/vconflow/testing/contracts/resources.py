"""What components are opened with in tests."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vconflow.errors import ConfigError, Permanent, Problem
from vconflow.model.validation import validate
from vconflow.ports.completer import Completer
from vconflow.ports.component import Resources
from vconflow.ports.embedder import Embedder
from vconflow.ports.fetcher import Download
from vconflow.ports.http import ANSWER_LIMIT
from vconflow.ports.providers import Account, Providers, TranscriberOptions
from vconflow.ports.transcriber import Transcriber
from vconflow.testing.memory_objects import MemoryObjects

__all__ = [
    "CannedFetcher",
    "ManualClock",
    "NoProviders",
    "Post",
    "RecordingSender",
    "resources_for",
]


class ManualClock:
    """A clock that moves when told, or when somebody sleeps; `slept` lists the seconds."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds


@dataclass(frozen=True)
class Post:
    """One request handed to a RecordingSender."""

    url: str
    content: bytes
    headers: Mapping[str, str]
    timeout: float


@dataclass
class RecordingSender:
    """An HttpSender that records.

    `errors` maps a URL to what posting there raises, `answers` to the body it is answered with.
    """

    posts: list[Post] = field(default_factory=list)
    errors: dict[str, Exception] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)

    async def post(
        self, url: str, *, content: bytes, headers: Mapping[str, str], timeout: float
    ) -> int:
        self.posts.append(Post(url, content, dict(headers), timeout))
        if url in self.errors:
            raise self.errors[url]
        return 204

    async def ask(
        self,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str],
        timeout: float,
        limit: int = ANSWER_LIMIT,
    ) -> bytes:
        await self.post(url, content=content, headers=headers, timeout=timeout)
        return self.answers.get(url, b"")


@dataclass
class CannedFetcher:
    """A Fetcher that serves `bodies` by URL, and nothing else."""

    bodies: dict[str, bytes] = field(default_factory=dict)

    @asynccontextmanager
    async def open(self, url: str, *, limit: int, timeout: float) -> AsyncIterator[Download]:
        yield _Canned(await self.fetch(url, limit=limit, timeout=timeout))

    async def fetch(self, url: str, *, limit: int, timeout: float) -> bytes:
        body = self.bodies.get(url)
        if body is None or len(body) > limit:
            raise Permanent("GET: nothing there, or too much")
        return body

    async def check(self, url: str) -> None:
        if url not in self.bodies:
            raise Permanent("GET: refused")


@dataclass
class _Canned:
    body: bytes
    media_type: str = ""

    @property
    def size(self) -> int | None:
        return len(self.body)

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.body


@dataclass
class SavedDocuments:
    """A DocumentSaver in memory: `documents` by uuid."""

    documents: dict[str, bytes] = field(default_factory=dict)

    async def save(self, document: bytes) -> str:
        uuid = validate(document).uuid
        self.documents[uuid] = document
        return uuid


class NoProviders:
    """Providers that refuse every account: the test gave none."""

    def completer(self, account: Account) -> AbstractAsyncContextManager[Completer]:
        raise _no_account()

    def transcriber(
        self, vendor: str, options: TranscriberOptions
    ) -> AbstractAsyncContextManager[Transcriber]:
        raise _no_account()

    def embedder(
        self, account: Account, model: str, dim: int
    ) -> AbstractAsyncContextManager[Embedder]:
        raise _no_account()


def _no_account() -> ConfigError:
    message = "no providers: give resources_for those of open_providers()"
    return ConfigError([Problem((), message, "no_credentials")])


def resources_for(
    data_dir: Path,
    *,
    name: str = "component",
    seed: int = 0,
    providers: Providers | None = None,
) -> Resources:
    """Return resources that reach neither network nor wall clock; chance is seeded.

    `providers` are refused unless given.
    """
    return Resources(
        name=name,
        http=RecordingSender(),
        fetcher=CannedFetcher(),
        documents=SavedDocuments(),
        objects=MemoryObjects(),
        clock=ManualClock(),
        data_dir=data_dir,
        providers=providers or NoProviders(),
        random=random.Random(seed).random,
    )
