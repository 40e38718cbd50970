"""Fetching by URLs that strangers wrote (`ports/fetcher.py`)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpcore

from vconflow import __version__
from vconflow.adapters.addresses import Allowed, GuardedBackend, RefusedAddress
from vconflow.adapters.http import failure_of, origin_of
from vconflow.errors import Permanent, Retryable, SourceAway
from vconflow.ports.fetcher import Download, Fetcher
from vconflow.ports.retry_after import seconds_of

__all__ = ["open_fetcher"]

_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONNECTIONS: Final = 64
_HEADERS: Final = [
    (b"Accept", b"*/*"),
    # What arrives is what counts against the limit: nothing that unfolds in memory.
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", f"vconflow/{__version__}".encode()),
]
_PASSING: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.RemoteProtocolError,
    httpcore.ProxyError,
    OSError,
)
_LASTING: Final = (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError, UnicodeError)


@asynccontextmanager
async def open_fetcher(allow: Iterable[str] = ()) -> AsyncIterator[Fetcher]:
    """Open the client that all links share; `allow` lists networks and hosts that are private and
    may be fetched from all the same. Raises ConfigError.
    """
    backend = GuardedBackend(Allowed(allow))
    certificates = await asyncio.to_thread(ssl.create_default_context)
    pool = httpcore.AsyncConnectionPool(
        ssl_context=certificates, network_backend=backend, max_connections=_CONNECTIONS
    )
    async with pool:
        try:
            yield _GuardedFetcher(pool, backend)
        finally:
            backend.close()


class _Answer:
    def __init__(
        self, response: httpcore.Response, url: str, limit: int, timeout: asyncio.Timeout
    ) -> None:
        self._response = response
        self._url = url
        self._limit = limit
        self._deadline = timeout.when()
        announced = _header(response, b"content-length")
        self.size = int(announced) if announced.isdecimal() else None
        self.media_type = _header(response, b"content-type").partition(";")[0].strip().lower()
        self._count(self.size or 0)

    async def chunks(self) -> AsyncIterator[bytes]:
        size, stream = 0, aiter(self._response.aiter_stream())
        while True:
            with _failures(self._url):
                async with asyncio.timeout_at(self._deadline):
                    chunk = await anext(stream, None)
            if chunk is None:
                return
            size += len(chunk)
            self._count(size)
            yield chunk

    def _count(self, size: int) -> None:
        if size > self._limit:
            raise Permanent(f"GET {origin_of(self._url)}: more than {self._limit} bytes")


class _GuardedFetcher:
    def __init__(self, pool: httpcore.AsyncConnectionPool, backend: GuardedBackend) -> None:
        self._pool = pool
        self._backend = backend

    @asynccontextmanager
    async def open(self, url: str, *, limit: int, timeout: float) -> AsyncIterator[Download]:
        async with AsyncExitStack() as stack:
            with _failures(url):
                async with asyncio.timeout(timeout) as time_left:
                    response, url = await self._follow(stack, url)
            yield _Answer(response, url, limit, time_left)

    async def _follow(self, stack: AsyncExitStack, url: str) -> tuple[httpcore.Response, str]:
        """The answer, with the URL that gave it; every hop is checked like the first."""
        for _ in range(_MOST_REDIRECTS + 1):
            async with AsyncExitStack() as hop:
                request = self._pool.stream("GET", _checked(url), headers=_HEADERS)
                response = await hop.enter_async_context(request)
                if response.status not in _REDIRECTS:
                    _check_status(response, url)
                    stack.push_async_exit(hop.pop_all())
                    return response, url
                url = _target(response, url)
        raise Permanent(f"GET {origin_of(url)}: more than {_MOST_REDIRECTS} redirects")

    async def fetch(self, url: str, *, limit: int, timeout: float) -> bytes:
        async with self.open(url, limit=limit, timeout=timeout) as download:
            return b"".join([chunk async for chunk in download.chunks()])

    async def check(self, url: str) -> None:
        parts = urlsplit(_checked(url))
        with _failures(url):
            await self._backend.resolve(parts.hostname or "", parts.port or 443)


@contextmanager
def _failures(url: str) -> Iterator[None]:
    """Map what the driver raises, without its words: they may quote what is secret in a URL."""
    try:
        yield
    except TimeoutError:
        raise SourceAway(f"GET {origin_of(url)}: not there in time") from None
    except RefusedAddress as error:
        raise Permanent(f"GET {origin_of(url)}: {error}") from None
    except _LASTING as error:
        raise Permanent(f"GET {origin_of(url)}: {type(error).__name__}") from None
    except _PASSING as error:
        raise SourceAway(f"GET {origin_of(url)}: {type(error).__name__}") from None


def _checked(url: str) -> str:
    """The URL, if it is one that may be asked for at all."""
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0
    except ValueError:
        raise Permanent("GET: a malformed URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise Permanent(f"GET {origin_of(url)}: only http and https URLs are fetched")
    if parts.username is not None or parts.password is not None:
        raise Permanent(f"GET {origin_of(url)}: a URL with credentials is not fetched")
    if not url.isascii() or any(ord(character) <= 32 for character in url):
        raise Permanent(f"GET {origin_of(url)}: the URL is not percent-encoded")
    return url


def _target(response: httpcore.Response, url: str) -> str:
    location = _header(response, b"location")
    if not location:
        raise Permanent(f"GET {origin_of(url)}: a redirect that leads nowhere")
    try:
        target = urljoin(url, location)
    except ValueError:
        raise Permanent(f"GET {origin_of(url)}: redirected to a malformed URL") from None
    if url.startswith("https:") and not target.startswith("https:"):
        raise Permanent(f"GET {origin_of(url)}: redirected away from https")
    return target


def _check_status(response: httpcore.Response, url: str) -> None:
    if response.status != 200:
        asked = seconds_of(_header(response, b"retry-after") or None)
        failure = failure_of("GET", url, response.status, asked)
        if isinstance(failure, Retryable):
            raise SourceAway(str(failure), retry_after=failure.retry_after)
        raise failure


def _header(response: httpcore.Response, name: bytes) -> str:
    """A header by its name in lower case; empty if it is missing."""
    found = next((value for key, value in response.headers if key.lower() == name), b"")
    return found.decode("latin-1")
