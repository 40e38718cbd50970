"""Language models that continue a conversation (chat completion)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from vconflow.errors import Permanent
from vconflow.ports.usage import Usage

__all__ = ["Completer", "Completion", "InputTooLong", "Message"]


class InputTooLong(Permanent):
    """The messages are more than the model takes (`context_length_exceeded`); nothing is billed."""


class Message(NamedTuple):
    """One turn; `role` as every provider spells it."""

    role: Literal["system", "user", "assistant"]
    content: str


class Completion(msgspec.Struct, frozen=True):
    """What the model said. `model` is the one that answered, as the provider names it."""

    text: str
    model: str
    usage: Usage


class Completer(Protocol):
    """One account at one provider; shared by all links that name the same one."""

    vendor: str
    """The provider as analyses name it: `openai`, `azure`, `litellm`, ..."""

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        model: str,
        temperature: float | None = None,
        response_format: Mapping[str, Any] | None = None,
    ) -> Completion:
        """Ask the model.

        `response_format` is that of the OpenAI API, e.g. `{"type": "json_object"}`. Raises
        `Retryable` for network errors, time-outs and 5xx, `Throttled` for 429 (with `Retry-After`),
        `Permanent` for what the provider refuses: a bad key, an unknown model, too long an input
        (`InputTooLong`). An answer that was cut short by the model's limit is `Permanent` too.
        """
        ...
