"""The client and its pool of connections."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import httpx

from vconflow.client.dead_letters import DeadLetterRequests
from vconflow.client.live import ChainRequests, events
from vconflow.client.requests import ATTEMPTS, GaveUp, Requests

__all__ = ["DEFAULT_HEADER", "Client"]

DEFAULT_HEADER: Final = "x-conserver-api-token"
_LAST_PORT: Final = 65535
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def _host(url: str) -> str:
    try:
        parts = httpx.URL(url)
        host, port = parts.host, parts.port or 0
    except (httpx.InvalidURL, UnicodeError):  # whose messages may quote a password
        parts, host, port = httpx.URL(), "", 0
    if parts.scheme not in ("http", "https") or not host or port > _LAST_PORT:
        raise GaveUp("not a URL of a server: expected http://host:port or https://host:port")
    return host


class Client:
    """Sends vCons, again when the server asks for that or cannot be reached.

    A vCon that was sent twice because an answer was lost replaces itself: it is processed again,
    and there is still one. `dead_letters` is for what the server could not process, `chains` for
    looking at chains, pausing and resuming them.
    """

    def __init__(self, http: httpx.AsyncClient, *, attempts: int = ATTEMPTS) -> None:
        self._http = http
        self._requests = Requests(http, attempts=attempts)
        self.dead_letters = DeadLetterRequests(self._requests)
        self.chains = ChainRequests(self._requests)

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
        host = _host(url)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        # Secrets mounted as files often end in a line end, and need not be ASCII.
        headers = {header.encode(): token.strip().encode()} if token else {}
        async with httpx.AsyncClient(
            base_url=url,
            headers=headers,
            limits=limits,
            timeout=timeout,
            # A proxy cannot reach what runs on this very machine. SSL_CERT_FILE counts there too.
            trust_env=host not in _LOOPBACK,
            verify=httpx.create_ssl_context(),
        ) as http:
            yield cls(http, attempts=attempts)

    async def submit(self, document: bytes, list_name: str) -> None:
        """Have a vCon stored and put on a list. Raises Rejected or GaveUp."""
        await self._requests.send(
            "POST",
            "/vcon",
            httpx.codes.CREATED,
            params={"ingress_lists": list_name},
            content=document,
            headers={"Content-Type": "application/json"},
        )

    async def count(self, list_name: str) -> int:
        """How many vCons wait on an egress list. Raises httpx.HTTPError."""
        answer = await self._http.get("/vcon/count", params={"egress_list": list_name})
        return int(answer.raise_for_status().text)

    def events(
        self, conditions: Sequence[tuple[str, str]] = ()
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Yield what happens to vCons from now on: the kind of each event and its data.

        `conditions` are pairs of `type`, `chain` or `list` and a value. It ends when the server
        ends it, which an event `dropped` or `end` tells. Raises GaveUp.
        """
        return events(self._http, conditions)

    async def metrics(self) -> str:
        """Return the metrics as Prometheus text. Raises httpx.HTTPError."""
        return (await self._http.get("/metrics")).raise_for_status().text
