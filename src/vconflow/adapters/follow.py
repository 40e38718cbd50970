"""The other server of a follower, over HTTP (`ports/follow.py`).

The reference conserver only pops: what its answer named has left it. A vconflow leases, and keeps
what is not acknowledged. Which of the two it is, and whether its API is below `/api`, is found out
by asking: a route that is not there answers 404 or 405 and has done nothing.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec

from vconflow.adapters.http import origin_of
from vconflow.errors import Permanent, Retryable
from vconflow.ports.follow import Follow, Handed, Handover, Remote
from vconflow.ports.retry_after import seconds_of

__all__ = ["open_remotes"]

_PREFIX: Final = "/api"
_ANSWER_SECONDS: Final = 30.0
_DOCUMENT_SECONDS: Final = 60.0
_LEASE_SECONDS: Final = 15
"""Until ids come back that a crash kept us from writing down: that takes milliseconds."""
_MOST_LIST_BYTES: Final = 16 * 1024 * 1024
_LOOK_FOR_LEASES_AGAIN: Final = 600.0
_LONGEST_ID: Final = 100
_NO_ROUTE: Final = frozenset({404, 405, 501})
_GONE: Final = frozenset({404, 410})
_NEVER: Final = frozenset({400, 406, 413, 414, 415, 422})
"""Statuses of a GET of a document that say something about this very document."""


@asynccontextmanager
async def open_remotes(
    *, header: str, most_bytes: int
) -> AsyncIterator[Callable[[Follow], Remote]]:
    """What connects to servers that are followed: `header` carries the key, and a vCon of more
    than `most_bytes` is refused.
    """
    certificates = await asyncio.to_thread(httpx.create_ssl_context)
    client = httpx.AsyncClient(
        verify=certificates,
        timeout=None,  # noqa: S113  # each exchange has its own limit
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        # What comes is what counts against the limits, and what is stored.
        headers={"accept-encoding": "identity", "accept": "application/json"},
    )
    async with client:
        yield lambda follow: _HttpRemote(client, follow, header, most_bytes)


class _Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    retry_after: float | None


class _HttpRemote:
    def __init__(
        self, client: httpx.AsyncClient, follow: Follow, header: str, most_bytes: int
    ) -> None:
        self._client = client
        self._follow = follow
        self._origin = origin_of(follow.url)
        self._roots = _roots(follow.url)
        self._source = _source(min(self._roots, key=len), follow.egress_list)
        self._most_bytes = most_bytes
        token = follow.auth_token.reveal() if follow.auth_token else ""
        self._headers = [(header.encode(), token.encode())] if token else []
        self._leases_again = float("-inf")

    async def pull(self, limit: int) -> Handover:
        answer = None
        for root in tuple(self._roots):
            for way in self._ways():
                answer = await way(root, limit)
                if answer.status == 200:
                    self._prefer(root)
                    return _handover(self._json(answer), self._source)
                if answer.status not in _NO_ROUTE:
                    raise self._refusal("GET", answer)
        assert answer is not None
        raise self._refusal("GET", answer)

    def _ways(self) -> list[Callable[[str, int], Any]]:
        leasing = time.monotonic() >= self._leases_again
        return [self._lease, self._pop] if leasing else [self._pop]

    async def _lease(self, root: str, limit: int) -> _Answer:
        name = quote(self._follow.egress_list, safe="")
        url = f"{root}/egress/{name}/lease"
        query = {"limit": limit, "seconds": _LEASE_SECONDS}
        return await self._send("POST", url, query, most=_MOST_LIST_BYTES)

    async def _pop(self, root: str, limit: int) -> _Answer:
        query = {"egress_list": self._follow.egress_list, "limit": limit}
        answer = await self._send("GET", f"{root}/vcon/egress", query, most=_MOST_LIST_BYTES)
        if answer.status == 200:
            self._leases_again = time.monotonic() + _LOOK_FOR_LEASES_AGAIN
        return answer

    async def acknowledge(self, receipts: Sequence[str]) -> None:
        name = quote(self._follow.egress_list, safe="")
        url = f"{self._roots[0]}/egress/{name}/ack"
        body = msgspec.json.encode({"ids": list(receipts)})
        answer = await self._send("POST", url, {}, body=body, most=_MOST_LIST_BYTES)
        if answer.status >= 300:
            raise self._refusal("POST", answer)

    async def document(self, uuid: str) -> bytes | None:
        gone, answer = False, None
        roots, doubtful = deque(self._roots), list[str]()
        while roots:
            root = roots.popleft()
            url = f"{root}/vcon/{quote(uuid, safe='')}"
            answer = await self._send(
                "GET", url, {}, most=self._most_bytes, seconds=_DOCUMENT_SECONDS
            )
            if answer.status == 200:
                self._prefer(root)
                return None if answer.body.strip() == b"null" else answer.body
            if answer.status not in _GONE:
                break
            # A proxy whose server is away may say 404 too, but not in the words of the API.
            if not _is_said_by_api(answer.body):
                doubtful.append(root)
            elif not gone:
                # The server is there, and may have come between: what a proxy said is asked again.
                gone = True
                roots += doubtful
        assert answer is not None
        if gone and answer.status in _GONE:
            return None
        if answer.status in _NEVER:
            raise Permanent(f"GET {self._origin}: status {answer.status}")
        raise self._refusal("GET", answer)

    def _prefer(self, root: str) -> None:
        self._roots.sort(key=lambda other: other != root)

    def _refusal(self, method: str, answer: _Answer) -> Retryable:
        message = f"{method} {self._origin}: status {answer.status}"
        return Retryable(message, retry_after=answer.retry_after)

    def _json(self, answer: _Answer) -> Any:
        try:
            return msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Retryable(f"GET {self._origin}: its list of ids is no JSON") from None

    async def _send(
        self,
        method: str,
        url: str,
        query: dict[str, Any],
        *,
        body: bytes = b"",
        most: int,
        seconds: float | None = None,
    ) -> _Answer:
        try:
            seconds = seconds or _ANSWER_SECONDS
            async with asyncio.timeout(seconds):
                return await self._exchange(method, url, query, body, most)
        except TimeoutError:
            raise Retryable(f"{method} {self._origin}: no answer in {seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            # Without the cause: the driver quotes headers and URLs in some of its messages.
            raise Retryable(f"{method} {self._origin}: {type(error).__name__}") from None

    async def _exchange(
        self, method: str, url: str, query: dict[str, Any], body: bytes, most: int
    ) -> _Answer:
        headers = [*self._headers, (b"content-type", b"application/json")]
        request = self._client.stream(
            method, url, params=query or None, content=body or None, headers=headers
        )
        async with request as response:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise Retryable(f"{method} {self._origin}: an encoding that nobody asked for")
            chunks, size = [], 0
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size > most:
                    raise Permanent(f"{method} {self._origin}: more than {most} bytes")
                chunks.append(chunk)
            asked = seconds_of(response.headers.get("retry-after"))
            return _Answer(response.status_code, b"".join(chunks), asked)


def _roots(url: str) -> list[str]:
    """Where the API may be: at the URL, or with or without the usual prefix."""
    given = url.rstrip("/")
    without = given.removesuffix(_PREFIX)
    return [given, without if without != given else given + _PREFIX]


def _is_said_by_api(body: bytes) -> bool:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(said, dict) and "detail" in said


def _source(root: str, egress_list: str) -> str:
    """What tells entries from those of other servers and lists, which may have the same ids."""
    return hashlib.sha256(f"{root}\n{egress_list}".encode()).hexdigest()[:12]


def _handover(answer: Any, source: str) -> Handover:
    """What an answer of 200 handed over; also what makes no sense in it, so that it is seen."""
    if isinstance(answer, dict):
        return _leased(answer, source)
    if not isinstance(answer, list):
        raise Retryable("the other side answered with something that is no list of ids")
    # The names sort in the order of the list.
    time_and_pull = f"{time.time_ns() // 1_000_000}-{uuid4().hex[:12]}"
    return Handover(
        tuple(
            Handed(f"{time_and_pull}-{number:06}", _text(uuid))
            for number, uuid in enumerate(answer)
        )
    )


def _text(uuid: Any) -> str:
    return uuid[:_LONGEST_ID] if isinstance(uuid, str) else f"({type(uuid).__name__})"


def _leased(answer: dict[str, Any], source: str) -> Handover:
    try:
        leases = [(lease["id"], lease["uuid"]) for lease in answer["entries"]]
        # Each lease of an entry has an id of its own, which begins with that of the entry.
        handed = tuple(
            Handed(f"{receipt.partition('.')[0]}@{source}", _text(uuid)) for receipt, uuid in leases
        )
    except (KeyError, TypeError, AttributeError):
        raise Retryable("the other side answered with something that is no lease") from None
    return Handover(handed, tuple(receipt for receipt, _ in leases))
