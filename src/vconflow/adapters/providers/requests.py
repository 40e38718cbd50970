"""Requests to providers that have no client of their own here: one POST each.

deepgram-sdk and huggingface_hub were looked at and left: the first is 951 generated files, takes
only the query options it knows and repeats calls by itself; the second brings a binary of its own
and reads recordings into memory. What is used of either API is a single POST.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import httpx
import msgspec

from vconflow.adapters.http import failure_of, mapped, origin_of
from vconflow.adapters.providers.credentials import Login
from vconflow.adapters.providers.line import Line
from vconflow.errors import Permanent, Retryable
from vconflow.ports.retry_after import seconds_of

__all__ = ["Answer", "Caller", "ask", "open_requests", "refusal", "upload"]

_CHUNK: Final = 256 * 1024
_CODE: Final = re.compile(r"[A-Za-z_]{1,64}")


class Caller(NamedTuple):
    """What a transcriber calls with; `timeout` is in seconds for one call."""

    client: httpx.AsyncClient
    login: Login
    line: Line
    timeout: float


class Answer(msgspec.Struct, frozen=True):
    """What came: `content` is the JSON, None if it was none. `retry_after` is in seconds."""

    url: str
    status: int
    content: Any
    retry_after: float | None


@asynccontextmanager
async def open_requests() -> AsyncIterator[httpx.AsyncClient]:
    """A client for one account; callers limit the time of each exchange and how many there are."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Reading the certificates takes tens of milliseconds.
    certificates = await asyncio.to_thread(httpx.create_ssl_context)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    client = httpx.AsyncClient(
        verify=certificates,
        timeout=None,  # noqa: S113  # the line limits the time of the whole exchange
        limits=limits,
    )
    async with client:
        yield client


async def ask(
    client: httpx.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    content: bytes | Path,
    params: Mapping[str, Any] | None = None,
) -> Answer:
    """POST bytes or a file, which is streamed. Raises Retryable and Permanent."""
    sent = dict(headers)
    try:
        if isinstance(content, Path):
            sent["content-length"] = str((await anyio.Path(content).stat()).st_size)
            body: bytes | AsyncIterator[bytes] = upload(content)
        else:
            body = content
        answer = await client.post(url, headers=sent, params=params, content=body)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise mapped(error, url) from None
    wait = seconds_of(answer.headers.get("retry-after"))
    try:
        decoded = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        decoded = None
    if answer.is_success and decoded is None:
        raise Retryable(f"POST {origin_of(url)}: no answer of this API")
    return Answer(url, answer.status_code, decoded, wait)


async def upload(file: Path) -> AsyncIterator[bytes]:
    """The file in pieces, read in threads."""
    # Opened and closed here: whoever is cancelled while a thread does it leaves it open.
    with file.open("rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, _CHUNK):
            yield chunk


def refusal(provider: str, answer: Answer, code: object = "") -> Retryable | Permanent:
    """What a status that is no success means; a `code` that is one word is told."""
    failure = failure_of("POST", answer.url, answer.status, answer.retry_after)
    said = f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""
    message = f"{provider}: status {answer.status}{said}"
    if isinstance(failure, Retryable):
        return type(failure)(message, retry_after=failure.retry_after)
    return Permanent(message)
