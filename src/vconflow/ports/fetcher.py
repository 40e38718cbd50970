"""Fetching what a URL inside a vCon points to: whoever wrote the vCon chose that URL."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

__all__ = ["Download", "Fetcher"]


class Download(Protocol):
    """An answer whose body is still to come."""

    @property
    def media_type(self) -> str:
        """In lower case, without parameters; empty if the server named none."""
        ...

    @property
    def size(self) -> int | None:
        """The size in bytes that the server announced."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `Permanent` past the limit, `SourceAway` when it breaks."""
        ...


class Fetcher(Protocol):
    """GET by strangers' URLs, kept away from the networks that this process can reach."""

    def open(
        self, url: str, *, limit: int, timeout: float
    ) -> AbstractAsyncContextManager[Download]:
        """GET a URL, following redirects; the body may have `limit` bytes.

        `timeout` is in seconds for the whole exchange, reading included. Raises `Permanent` for a
        URL that is refused (not http or https, a private address, a redirect to one), for a body
        that is too large and for statuses that do not pass; `SourceAway` for the rest.
        """
        ...

    async def fetch(self, url: str, *, limit: int, timeout: float) -> bytes:
        """The whole body of a URL; raises as `open` does."""
        ...

    async def check(self, url: str) -> None:
        """Raise `Permanent` for a URL that is refused before anything is sent; nothing is asked.

        Its name is looked up: `SourceAway` if that is not possible now. Where the answer would
        redirect to is not known.
        """
        ...
