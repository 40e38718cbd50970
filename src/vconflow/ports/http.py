"""Outgoing HTTP as links see it."""

from collections.abc import Mapping
from typing import Protocol

__all__ = ["ANSWER_LIMIT", "HttpSender"]

ANSWER_LIMIT = 1024 * 1024
"""Bytes of an answer that are taken unless somebody asks for more."""


class HttpSender(Protocol):
    """One pooled client shared by all links."""

    async def post(
        self, url: str, *, content: bytes, headers: Mapping[str, str], timeout: float
    ) -> int:
        """POST `content` and return the status, always 2xx.

        Raises `Retryable` for network errors, time-outs (`timeout` is in seconds for the whole
        exchange), 408, 425 and 5xx, `Throttled` for 429 (with its `Retry-After`); `Permanent` for
        other statuses.
        """
        ...

    async def ask(
        self,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str],
        timeout: float,
        limit: int = ANSWER_LIMIT,
    ) -> bytes:
        """POST `content` and return the body of a 2xx answer, `limit` bytes at most.

        Raises as `post` does, and `Permanent` for a longer answer.
        """
        ...
