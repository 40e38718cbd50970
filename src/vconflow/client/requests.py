"""Requests that are repeated when the server asks for that or cannot be reached."""

import asyncio
import json
import random
from typing import Any, Final

import httpx

from vconflow.errors import Retryable, VconflowError

__all__ = ["ATTEMPTS", "GaveUp", "Rejected", "Requests"]

ATTEMPTS: Final = 10
BASE_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 10.0
LONGEST_RETRY_AFTER: Final = 60.0
LONGEST_DETAIL: Final = 300
_TRY_AGAIN: Final = frozenset({408, 425, 429, 502, 503, 504})
# About the client or the server as such, not about the one thing sent: no other would fare better.
_ABOUT_US: Final = frozenset({401, 403, 404, 405})


class Rejected(VconflowError):
    """The server will not do this. `status` is its answer, `detail` its reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class GaveUp(VconflowError):
    """Nothing can be done: no server, a wrong key, an unknown list, or busy for too long."""


class Requests:
    """Sends requests which do no harm when they are sent twice."""

    def __init__(self, http: httpx.AsyncClient, *, attempts: int = ATTEMPTS) -> None:
        self._http = http
        self._attempts = attempts

    async def send(self, method: str, path: str, *expected: int, **options: Any) -> httpx.Response:
        """Return an answer with a status that is `expected`, 200 if none is named.

        `options` are those of httpx. Raises Rejected or GaveUp.
        """
        # httpx' transports repeat only a connect, none of them knows Retry-After.
        for attempt in range(1, self._attempts + 1):
            try:
                return await self._send(method, path, expected or (httpx.codes.OK,), options)
            except Retryable as error:
                if attempt == self._attempts:
                    raise GaveUp(f"gave up after {attempt} attempts: {error}") from error
                await asyncio.sleep(_pause(attempt, error.retry_after))
        raise AssertionError("at least one attempt")

    def stranger(self, answer: httpx.Response) -> GaveUp:
        """Return the error for an answer that no server of ours gives."""
        # Proxies and other servers answer anything with their own pages.
        return GaveUp(f"{self._origin} is no vCon server: it answers {answer.status_code}")

    async def _send(
        self, method: str, path: str, expected: tuple[int, ...], options: dict[str, Any]
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, **options)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise GaveUp(f"{self._origin}: {error}") from None
        except httpx.LocalProtocolError:
            # Its message quotes the API key.
            raise GaveUp("no header can carry this API key, or have this name") from None
        except httpx.TransportError as error:
            raise Retryable(f"{self._origin}: {_reason(error)}") from error
        if answer.status_code in expected:
            return answer
        detail = _detail(answer)
        if answer.status_code in _TRY_AGAIN:
            message = f"{answer.status_code}: {detail}"
            raise Retryable(message, retry_after=_retry_after(answer))
        if answer.is_success or answer.is_redirect:
            raise self.stranger(answer)
        if answer.status_code in _ABOUT_US:
            raise GaveUp(f"{answer.status_code}: {detail}")
        raise Rejected(answer.status_code, detail)

    @property
    def _origin(self) -> str:
        """The server's URL without what may be a user name and password."""
        return str(self._http.base_url.copy_with(userinfo=b"")).rstrip("/")


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
