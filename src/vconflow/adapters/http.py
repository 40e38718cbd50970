"""Outgoing HTTP for links: one httpx client, its exceptions and statuses mapped in one place.

Errors name scheme, host and port only: userinfo, path and query of a webhook often are secrets.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.parse import urlsplit

import httpx

from vconflow.errors import Permanent, Retryable, Throttled
from vconflow.ports.http import ANSWER_LIMIT, HttpSender
from vconflow.ports.retry_after import seconds_of

__all__ = ["failure_of", "mapped", "open_http", "origin_of"]

_RETRYABLE_STATUS: Final = frozenset({408, 425})
_READ_LIMIT: Final = 65536

_ERRORS: Final[tuple[tuple[type[Exception], type[Retryable] | type[Permanent]], ...]] = (
    # The first that fits counts. The first four are faults of the request itself.
    (httpx.InvalidURL, Permanent),
    (httpx.UnsupportedProtocol, Permanent),
    (httpx.LocalProtocolError, Permanent),
    (UnicodeError, Permanent),
    (httpx.HTTPError, Retryable),
    (OSError, Retryable),
)
_CAUGHT: Final = tuple(kind for kind, _ in _ERRORS)


@asynccontextmanager
async def open_http(*, now: Callable[[], float] = time.time) -> AsyncIterator[HttpSender]:
    """Open the client that all links share; `now` is Unix seconds, for dates in Retry-After."""
    for name in ("httpx", "httpcore"):
        # Both log requests with all of their URL and headers.
        logging.getLogger(name).setLevel(logging.WARNING)
    # Reading the certificates takes tens of milliseconds.
    certificates = await asyncio.to_thread(httpx.create_ssl_context)
    # How many requests are under way is bounded by the chains' concurrency.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    # A cookie that one webhook sets is none of the next one's business.
    no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    client = httpx.AsyncClient(
        verify=certificates,
        timeout=None,  # noqa: S113  # `post` limits the time of the whole exchange
        limits=limits,
        cookies=no_cookies,
    )
    async with client:
        yield _HttpxSender(client, now)


class _HttpxSender:
    def __init__(self, client: httpx.AsyncClient, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now

    async def post(
        self, url: str, *, content: bytes, headers: Mapping[str, str], timeout: float
    ) -> int:
        status, _ = await self._succeed(url, content, headers, timeout)
        return status

    async def ask(
        self,
        url: str,
        *,
        content: bytes,
        headers: Mapping[str, str],
        timeout: float,
        limit: int = ANSWER_LIMIT,
    ) -> bytes:
        _, body = await self._succeed(url, content, headers, timeout, limit)
        if len(body) > limit:
            raise Permanent(f"POST {origin_of(url)}: the answer is over {limit} bytes")
        return body

    async def _succeed(
        self,
        url: str,
        content: bytes,
        headers: Mapping[str, str],
        timeout: float,
        wanted: int = 0,
    ) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(timeout):
                status, wait, body = await self._exchange(url, content, headers, wanted)
        except TimeoutError:
            raise Retryable(f"POST {origin_of(url)}: no answer in {timeout:g} s") from None
        except _CAUGHT as error:
            # Without the cause: the driver quotes headers and URLs in some of its messages.
            raise mapped(error, url) from None
        if 200 <= status < 300:
            return status, body
        raise failure_of("POST", url, status, seconds_of(wait, self._now))

    async def _exchange(
        self, url: str, content: bytes, headers: Mapping[str, str], wanted: int
    ) -> tuple[int, str | None, bytes]:
        """Status, `Retry-After` and body, of which no more is read than a chunk past the limit."""
        limit = wanted or _READ_LIMIT
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = self._client.stream("POST", url, content=content, headers=encoded)
        async with request as response:
            # A short answer is read so that the connection can be used again, a long one is not.
            body = bytearray()
            # What nobody wants need not make sense.
            chunks = response.aiter_bytes() if wanted else response.aiter_raw()
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    break
            return response.status_code, response.headers.get("retry-after"), bytes(body)


def mapped(error: Exception, url: str) -> Retryable | Permanent:
    """What an exception of httpx in a POST means."""
    target = next(target for kind, target in _ERRORS if isinstance(error, kind))
    detail = f": {error}" if isinstance(error, httpx.NetworkError) and str(error) else ""
    return target(f"POST {origin_of(url)}: {type(error).__name__}{detail}")


def failure_of(
    method: str, url: str, status: int, retry_after: float | None
) -> Retryable | Permanent:
    """What a status that is no success means; `retry_after` is in seconds."""
    message = f"{method} {origin_of(url)}: status {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(message, retry_after=retry_after)
    if status in _RETRYABLE_STATUS or status >= 500:
        return Retryable(message, retry_after=retry_after)
    return Permanent(message)


def origin_of(url: str) -> str:
    """Scheme, host and port: what may be said of a URL."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}"
    except ValueError:
        return "(a malformed URL)"
