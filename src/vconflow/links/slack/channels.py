"""Posting to channels of Slack by the official client, its errors mapped in one place."""

import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from vconflow.errors import Permanent, Retryable, Throttled
from vconflow.ports.retry_after import seconds_of

__all__ = ["Channels", "NoSuchChannel", "open_channels"]

_NO_CHANNEL: Final = frozenset({"channel_not_found", "is_archived", "not_in_channel"})
_PASSING: Final = frozenset(
    {
        "fatal_error",
        "internal_error",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
_THROTTLED: Final = frozenset({"message_limit_exceeded", "rate_limited", "ratelimited"})
_WORD: Final = re.compile(r"[a-z0-9_]{1,64}")


class NoSuchChannel(Permanent):
    """The channel does not exist, or nobody let us in."""


class Channels:
    """The channels of one workspace."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def post(
        self, channel: str, text: str, blocks: Sequence[dict[str, Any]] | None = None
    ) -> None:
        """Post a message; `text` is what notifications show when there are blocks.

        Raises NoSuchChannel, Permanent for what Slack refuses, Retryable for what may pass.
        """
        try:
            await self._client.chat_postMessage(channel=channel, text=text, blocks=blocks)
        except SlackApiError as error:
            # Without the cause: the client's message quotes the whole answer.
            raise _refusal(error.response) from None
        except TimeoutError:
            raise Retryable("Slack: no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Retryable(f"Slack: {type(error).__name__}") from None


@asynccontextmanager
async def open_channels(token: str, base_url: str, timeout: float) -> AsyncIterator[Channels]:
    """Open a client without connecting; `timeout` is in seconds for one message."""
    # The client's own level decides whether it writes messages down.
    logger = logging.getLogger("slack_sdk")
    logger.setLevel(logging.WARNING)
    time_limit = aiohttp.ClientTimeout(total=timeout)
    async with aiohttp.ClientSession(timeout=time_limit) as session:
        client = AsyncWebClient(
            token=token,
            base_url=base_url,
            session=session,
            logger=logger,
            retry_handlers=[],  # the engine repeats
        )
        yield Channels(client)


def _refusal(response: Any) -> Retryable | Permanent:
    """What an answer means that is no success: Slack says 200 and names the error in the body."""
    # The client hands on aiohttp's own answer when that is no JSON.
    status: int = getattr(response, "status_code", 0) or getattr(response, "status", 0)
    data = getattr(response, "data", None)
    said = data.get("error") if isinstance(data, dict) else None
    word = said if isinstance(said, str) and _WORD.fullmatch(said) else ""
    message = f"Slack: {word or f'status {status}'}"
    if word in _NO_CHANNEL:
        return NoSuchChannel(message)
    # A success without an answer that makes sense is some proxy's.
    wait = seconds_of(response.headers.get("Retry-After"))
    if status == HTTPStatus.TOO_MANY_REQUESTS or word in _THROTTLED:
        return Throttled(message, retry_after=wait)
    if status >= 500 or word in _PASSING or not word:
        return Retryable(message, retry_after=wait)
    return Permanent(message)
