"""Chat completions of OpenAI, and of everything that speaks its API."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from vconflow.adapters.providers.line import Line
from vconflow.adapters.providers.openai_client import expect, mapped_errors
from vconflow.errors import Permanent
from vconflow.ports.completer import Completion, Message
from vconflow.ports.usage import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

__all__ = ["OpenAiCompleter"]

_INCOMPLETE: Final = {
    "length": "the answer was cut short by the model's limit",
    "content_filter": "the answer was withheld by the provider's filter",
}


class OpenAiCompleter:
    """A Completer; `timeout` is in seconds for one call."""

    def __init__(self, client: "AsyncOpenAI", line: Line, timeout: float) -> None:
        self.vendor = line.provider
        self._client = client
        self._line = line
        self._timeout = timeout

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        model: str,
        temperature: float | None = None,
        response_format: Mapping[str, Any] | None = None,
    ) -> Completion:
        asked: dict[str, Any] = {"model": model, "messages": [m._asdict() for m in messages]}
        if temperature is not None:
            asked["temperature"] = temperature
        if response_format is not None:
            asked["response_format"] = dict(response_format)
        async with self._line.call(model, self._timeout):
            answer = await self._ask(asked)
        # What cannot be used is billed all the same.
        usage = self._line.bill(model, _usage(self.vendor, model, answer))
        return Completion(_text(self.vendor, answer), answer.model or model, usage)

    async def _ask(self, asked: dict[str, Any]) -> "ChatCompletion":
        from openai.types.chat import ChatCompletion

        with mapped_errors(self.vendor):
            answer = await self._client.chat.completions.create(**asked)
        return expect(self.vendor, answer, ChatCompletion)


def _usage(provider: str, model: str, answer: "ChatCompletion") -> Usage:
    counted = answer.usage
    return Usage(
        provider=provider,
        model=answer.model or model,
        input_tokens=counted.prompt_tokens if counted else 0,
        output_tokens=counted.completion_tokens if counted else 0,
    )


def _text(provider: str, answer: "ChatCompletion") -> str:
    if not answer.choices:
        raise Permanent(f"{provider}: an answer without a choice")
    choice = answer.choices[0]
    if choice.finish_reason in _INCOMPLETE:
        raise Permanent(f"{provider}: {_INCOMPLETE[choice.finish_reason]}")
    content = getattr(choice.message, "content", None)
    if not isinstance(content, str):
        raise Permanent(f"{provider}: an answer without a text")
    return content
