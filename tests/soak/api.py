"""The replicas as clients see them: any may be asked, any may be dead."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from random import Random
from typing import Any

import httpx

from .replica import Replica

__all__ = ["Api", "Trouble", "open_api"]

_TIMEOUT = 12.0


class Trouble(Enum):
    """Why there is no answer that says what happened."""

    UNSENT = "could not connect"
    UNKNOWN = "answer lost"


class Api:
    """Asks one replica after the other, at random."""

    def __init__(self, http: httpx.AsyncClient, replicas: Sequence[Replica], seed: int) -> None:
        self._http = http
        self._replicas = replicas
        self._random = Random(seed)

    def pick(self) -> Replica:
        """One replica, dead or alive."""
        return self._random.choice(self._replicas)

    async def ask(self, method: str, path: str, **request: Any) -> httpx.Response | Trouble:
        """One attempt."""
        url = f"{self.pick().url}{path}"
        try:
            return await self._http.request(method, url, **request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return Trouble.UNSENT
        except httpx.TransportError:
            return Trouble.UNKNOWN


@asynccontextmanager
async def open_api(replicas: Sequence[Replica], seed: int) -> AsyncIterator[Api]:
    """A client for all of them."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with httpx.AsyncClient(timeout=_TIMEOUT, limits=limits, trust_env=False) as http:
        yield Api(http, replicas, seed)
