"""What components are opened with in tests."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vconflow.model.validation import validate
from vconflow.ports.component import Resources

__all__ = ["ManualClock", "Post", "RecordingSender", "resources_for"]


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
    """An HttpSender that records; `errors` maps a URL to what posting there raises."""

    posts: list[Post] = field(default_factory=list)
    errors: dict[str, Exception] = field(default_factory=dict)

    async def post(
        self, url: str, *, content: bytes, headers: Mapping[str, str], timeout: float
    ) -> int:
        self.posts.append(Post(url, content, dict(headers), timeout))
        if url in self.errors:
            raise self.errors[url]
        return 204


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
        documents=SavedDocuments(),
        clock=ManualClock(),
        data_dir=data_dir,
        random=random.Random(seed).random,
    )
