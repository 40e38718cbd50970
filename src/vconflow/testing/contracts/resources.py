"""What components are opened with in tests."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vconflow.errors import Permanent
from vconflow.model.validation import validate
from vconflow.ports.component import Resources
from vconflow.ports.fetcher import Download
from vconflow.ports.http import ANSWER_LIMIT

__all__ = ["CannedFetcher", "ManualClock", "Post", "RecordingSender", "resources_for"]


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


def resources_for(data_dir: Path, *, name: str = "component", seed: int = 0) -> Resources:
    """Return resources that reach neither network nor wall clock; chance is seeded."""
    return Resources(
        name=name,
        http=RecordingSender(),
        fetcher=CannedFetcher(),
        documents=SavedDocuments(),
        clock=ManualClock(),
        data_dir=data_dir,
        random=random.Random(seed).random,
    )
