"""A small client of a vconflow server, for `vconflow submit` and for programs that send vCons.

async with Client.open("http://127.0.0.1:8000", token="…") as client:
    await client.submit(document, "main")
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import httpx

from vconflow.errors import Retryable, VconflowError

__all__ = ["Client", "GaveUp", "Rejected"]

DEFAULT_HEADER: Final = "x-conserver-api-token"
ATTEMPTS: Final = 10
BASE_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 10.0
LONGEST_RETRY_AFTER: Final = 60.0
LONGEST_DETAIL: Final = 300
_TRY_AGAIN: Final = frozenset({408, 425, 429, 502, 503, 504})
# About the request as a whole, not about the one vCon: no other vCon would fare better.
_ABOUT_US: Final = frozenset({401, 403, 404, 405})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Rejected(VconflowError):
    """The server will not take this vCon. `status` is its answer, `detail` its reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class GaveUp(VconflowError):
    """Nothing can be sent: no server, a wrong key, an unknown list, or busy for too long."""


class Client:
    """Sends vCons, again when the server asks for that or cannot be reached.

    A vCon that was sent twice because an answer was lost replaces itself: it is processed again,
    and there is still one.
    """

    def __init__(self, http: httpx.AsyncClient, *, attempts: int = ATTEMPTS) -> None:
        self._http = http
        self._attempts = attempts

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        token: str | None = None,
        header: str = DEFAULT_HEADER,
        connections: int = 16,
        timeout: float = 60.0,
        attempts: int = ATTEMPTS,
    ) -> AsyncIterator[Self]:
        """Open a pool of connections to the server at `url`; `timeout` is in seconds.

        Raises GaveUp for what is no URL.
        """
        try:
            host = httpx.URL(url).host
        except httpx.InvalidURL as error:
            raise GaveUp(f"not a URL: {error}") from None
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        # Secrets mounted as files often end in a line end, and need not be ASCII.
        headers = {header.encode(): token.strip().encode()} if token else {}
        async with httpx.AsyncClient(
            base_url=url,
            headers=headers,
            limits=limits,
            timeout=timeout,
            # A proxy cannot reach what runs on this very machine.
            trust_env=host not in _LOOPBACK,
        ) as http:
            yield cls(http, attempts=attempts)

    async def submit(self, document: bytes, list_name: str) -> None:
        """Have a vCon stored and put on a list. Raises Rejected or GaveUp."""
        # httpx' transports repeat only a connect, none of them knows Retry-After.
        for attempt in range(1, self._attempts + 1):
            try:
                return await self._submit(document, list_name)
            except Retryable as error:
                if attempt == self._attempts:
                    raise GaveUp(f"gave up after {attempt} attempts: {error}") from error
                await asyncio.sleep(_pause(attempt, error.retry_after))
        raise AssertionError("at least one attempt")

    async def count(self, list_name: str) -> int:
        """How many vCons wait on an egress list. Raises httpx.HTTPError."""
        answer = await self._http.get("/vcon/count", params={"egress_list": list_name})
        return int(answer.raise_for_status().text)

    async def metrics(self) -> str:
        """Return the metrics as Prometheus text. Raises httpx.HTTPError."""
        return (await self._http.get("/metrics")).raise_for_status().text

    @property
    def _origin(self) -> str:
        """The server's URL without what may be a user name and password."""
        return str(self._http.base_url.copy_with(userinfo=b"")).rstrip("/")

    async def _submit(self, document: bytes, list_name: str) -> None:
        try:
            answer = await self._http.post(
                "/vcon",
                params={"ingress_lists": list_name},
                content=document,
                headers={"Content-Type": "application/json"},
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise GaveUp(f"{self._origin}: {error}") from None
        except httpx.LocalProtocolError:
            # Its message quotes the API key.
            raise GaveUp("no header can carry this API key, or have this name") from None
        except httpx.TransportError as error:
            raise Retryable(f"{self._origin}: {_reason(error)}") from error
        if answer.status_code == httpx.codes.CREATED:
            return
        detail = _detail(answer)
        if answer.status_code in _TRY_AGAIN:
            message = f"{answer.status_code}: {detail}"
            raise Retryable(message, retry_after=_retry_after(answer))
        if answer.is_success or answer.is_redirect:
            # Proxies and other servers answer anything with their own pages.
            raise GaveUp(f"{self._origin} is no vCon server: it answers {answer.status_code}")
        if answer.status_code in _ABOUT_US:
            raise GaveUp(f"{answer.status_code}: {detail}")
        raise Rejected(answer.status_code, detail)


def _pause(attempt: int, retry_after: float | None) -> float:
    ceiling = min(BASE_SECONDS * 2 ** min(attempt - 1, 16), LONGEST_SECONDS)
    jittered = random.uniform(ceiling / 2, ceiling)
    return max(jittered, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


def _retry_after(answer: httpx.Response) -> float | None:
    # Servers of ours send seconds; the form as a date is left to the backoff.
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


def _detail(answer: httpx.Response) -> str:
    """What the server says is wrong, on one line."""
    try:
        detail = answer.json()["detail"]
    except (json.JSONDecodeError, UnicodeDecodeError, LookupError, TypeError):
        detail = answer.reason_phrase
    text = "; ".join(map(_problem, detail)) if isinstance(detail, list) else str(detail)
    return text if len(text) <= LONGEST_DETAIL else f"{text[:LONGEST_DETAIL]}…"


def _problem(problem: Any) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    place = ".".join(str(part) for part in problem.get("loc", ())[1:])
    return f"{place}: {problem.get('msg')}" if place else str(problem.get("msg"))
