"""The official client of OpenAI, and what its errors mean.

Errors name the provider, the status and the code only: messages of providers quote keys and
prompts.
"""

import asyncio
import importlib
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from vconflow.adapters.providers.credentials import Login
from vconflow.errors import ConfigError, Permanent, Problem, Retryable, Throttled
from vconflow.ports.completer import InputTooLong
from vconflow.ports.providers import AccountRefused
from vconflow.ports.retry_after import seconds_of

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

__all__ = ["expect", "import_client", "mapped_errors", "open_client"]

T = TypeVar("T")

_RETRYABLE_STATUS: Final = frozenset({408, 409, 425})
_REFUSED_STATUS: Final = frozenset({401, 403, 404})
_CODE: Final = re.compile(r"[a-z_]{1,64}")
_TOO_LONG_STATUS: Final = frozenset({400, 413, 429, 500})
# OpenAI and Azure have the code `context_length_exceeded`; vLLM, llama.cpp and proxies only say it.
# A request of more tokens than an account has in a minute is "too large", with the status 429.
_TOO_LONG: Final = re.compile(
    r"(context[ _]?(length|size|window)|maximum input length).{0,80}(exceed|tokens)"
    r"|exceeds? .{0,40}context|ContextWindowExceeded|request too large for",
    re.IGNORECASE | re.DOTALL,
)


async def import_client(module: str, extra: str) -> Any:
    """Import a provider's client in a thread, as that takes a second.

    Raises ConfigError when the extra that brings it is not installed.
    """
    try:
        return await asyncio.to_thread(importlib.import_module, module)
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed: pip install 'vconflow[{extra}]'"
        raise ConfigError([Problem((), message, "missing_extra")]) from None


@asynccontextmanager
async def open_client(login: Login) -> "AsyncIterator[AsyncOpenAI]":
    """A client of the account, which neither repeats calls nor limits their time: others do."""
    openai = await import_client("openai", "openai")
    for name in ("openai", "httpx2", "httpcore2"):
        # All three log requests, some with headers and bodies.
        logging.getLogger(name).setLevel(logging.WARNING)
    # Reading the certificates takes tens of milliseconds.
    client = await asyncio.to_thread(_make, openai, login)
    async with client:
        yield client


def _make(openai: Any, login: Login) -> "AsyncOpenAI":
    shared = {
        "api_key": login.key.reveal(),
        "max_retries": 0,
        "timeout": None,
        # A redirect would take Azure's key along to wherever it points.
        "http_client": openai.DefaultAsyncHttpxClient(follow_redirects=False, timeout=None),
    }
    client: AsyncOpenAI
    if login.provider == "azure":
        client = openai.AsyncAzureOpenAI(
            azure_endpoint=login.base_url, api_version=login.api_version, **shared
        )
    else:
        client = openai.AsyncOpenAI(base_url=login.base_url, **shared)
    # The client looks into the environment by itself. What it finds there may be meant for another
    # server: of headers (OPENAI_CUSTOM_HEADERS) nobody can tell.
    client.organization, client.project = login.organization, login.project
    client._custom_headers = {}
    return client


@contextmanager
def mapped_errors(provider: str) -> Iterator[None]:
    """Raise Retryable or Permanent for the errors of the client."""
    import httpx2
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        raise _of_status(provider, error) from None
    except openai.APIConnectionError as error:
        # The cause says what it was; its own text is always the same.
        cause = type(error.__cause__ or error).__name__
        raise Retryable(f"{provider}: {cause}") from None
    except (httpx2.HTTPError, OSError) as error:
        # The connection ended in the middle of the answer.
        raise Retryable(f"{provider}: {type(error).__name__}") from None
    except (openai.OpenAIError, ValueError, TypeError, AttributeError):
        # Over answers that are none of this API the client's own parsing stumbles in these ways.
        raise Retryable(f"{provider}: no answer of this API") from None


def expect(provider: str, answer: object, kind: type[T]) -> T:
    """The answer, if it is of that kind: the client hands on whatever comes, a page of HTML too."""
    if not isinstance(answer, kind):
        raise Retryable(f"{provider}: no answer of this API")
    return answer


def _of_status(provider: str, error: "APIStatusError") -> Retryable | Permanent:
    status = error.status_code
    code = error.code if error.code and _CODE.fullmatch(error.code) else ""
    message = f"{provider}: status {status}{f' ({code})' if code else ''}"
    if status in _TOO_LONG_STATUS and _TOO_LONG.search(f"{error.code} {error.message}"):
        return InputTooLong(message)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(message, retry_after=_wait(error.response.headers))
    if status in _RETRYABLE_STATUS or status >= 500:
        return Retryable(message, retry_after=_wait(error.response.headers))
    return AccountRefused(message) if status in _REFUSED_STATUS else Permanent(message)


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; OpenAI and Azure say them more finely than HTTP does."""
    finely = headers.get("retry-after-ms", "")
    return int(finely) / 1000 if finely.isdecimal() else seconds_of(headers.get("retry-after"))
