"""Looking at a running server: its chains, and what happens to vCons."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from vconflow.client.requests import GaveUp, Requests

__all__ = ["ChainRequests", "events", "parsed"]


class ChainRequests:
    """Part of `Client`. Every method raises Rejected or GaveUp."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def list(self) -> list[dict[str, Any]]:
        """Return every chain, with its numbers."""
        answer = await self._requests.send("GET", "/chains")
        try:
            found: list[dict[str, Any]] = msgspec.json.decode(answer.content)["chains"]
        except (msgspec.DecodeError, LookupError, TypeError):
            raise self._requests.stranger(answer) from None
        return found

    async def pause(self, name: str) -> None:
        """Stop reading the lists of a chain, on every replica."""
        await self._switch(name, "pause")

    async def resume(self, name: str) -> None:
        """Read the lists of a chain again."""
        await self._switch(name, "resume")

    async def _switch(self, name: str, what: str) -> None:
        path = f"/chains/{quote(name, safe='')}/{what}"
        await self._requests.send("POST", path, httpx.codes.NO_CONTENT)


async def events(
    http: httpx.AsyncClient, conditions: Sequence[tuple[str, str]], silence: float = 60.0
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Yield the name and the data of every event until the stream ends.

    `conditions` are pairs of `type`, `chain` or `list` and a value. After `silence` seconds without
    even a comment the server counts as gone. Raises GaveUp.
    """
    timeout = httpx.Timeout(60.0, read=silence)
    try:
        params = httpx.QueryParams(list(conditions))
        async with http.stream("GET", "/events", params=params, timeout=timeout) as answer:
            if answer.status_code != httpx.codes.OK:
                await answer.aread()
                raise GaveUp(f"{answer.status_code}: {answer.text[:300]}")
            async for event in parsed(answer.aiter_lines()):
                yield event
    except httpx.LocalProtocolError:
        raise GaveUp("no header can carry this API key, or have this name") from None
    except (httpx.TransportError, msgspec.DecodeError) as error:
        raise GaveUp(f"the stream broke: {type(error).__name__}") from error


async def parsed(lines: AsyncIterator[str]) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Yield name and data of each server-sent event; comments and other fields are left out."""
    name = ""
    async for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, msgspec.json.decode(value)
