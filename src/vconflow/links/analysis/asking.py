"""Asking a model about a text, in parts when it is longer than the model takes."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from vconflow.errors import Permanent, Retryable
from vconflow.links.analysis.splitting import split
from vconflow.links.analysis.tokens import estimate, window_of
from vconflow.ports.completer import Completer, Completion, InputTooLong, Message
from vconflow.ports.failures import Failure, joined
from vconflow.ports.usage import Usage

__all__ = ["Answer", "Asker", "Question"]

T = TypeVar("T")

MOST_MERGES = 4
"""Answers to parts that, put together, are again too long: so often they are taken in parts."""

ANSWER_TOKENS = 4096
"""What of the window is left to the answer, but a quarter of it at most."""

ABOUT_PARTS = 64
"""Tokens of what is said about parts."""

SMALLEST_PART = 128
"""Tokens. When the model refuses even such a short text, its length is not the reason."""

HALF = 0.55
"""What each part of a text that was refused may have of it: two parts, cut at a good place."""

REMEMBERED = 512
"""Answers to parts that are kept in memory for the next attempt, all vCons together."""

_MERGE = (
    "What follows is your answers to the same question about {count} successive parts of one text "
    "that was too long for one answer. Give one answer for the whole text."
)


class Question(NamedTuple, Generic[T]):
    """What to ask about any text, and how to read the answer.

    `user` makes the message of a text; `read` raises Retryable when the answer makes no sense.
    `combine` makes one answer of those to parts; without it, the model is asked to.
    """

    user: Callable[[str], str]
    read: Callable[[str], T]
    system: str | None = None
    combine: Callable[[Sequence[T]], T] | None = None

    def messages(self, text: str) -> list[Message]:
        """The conversation that the model is to continue."""
        told = [] if self.system is None else [Message("system", self.system)]
        return [*told, Message("user", self.user(text))]


class Answer(NamedTuple, Generic[T]):
    """What came out, and what each call took."""

    value: T
    usages: tuple[Usage, ...]


@dataclass
class Asker:
    """One model of one account. What it was asked of a text in parts it remembers for a while.

    `context_tokens` is the model's window, by default known from its name.
    """

    completer: Completer
    model: str
    temperature: float | None = None
    response_format: Mapping[str, Any] | None = None
    context_tokens: int | None = None
    _parts: "OrderedDict[bytes, Completion]" = field(default_factory=OrderedDict, init=False)

    def room(self, question: Question[Any]) -> float:
        """Tokens that the text may have beside the question and the answer. Raises Permanent."""
        window = self.context_tokens or window_of(self.model)
        asked = sum(estimate(message.content) for message in question.messages(""))
        room = window - min(ANSWER_TOKENS, window // 4) - asked - ABOUT_PARTS
        if room < SMALLEST_PART:
            raise Permanent(
                f"the prompt leaves no room for a text: {self.model} takes {window} tokens "
                "(see context_tokens)"
            )
        return room

    async def ask_once(self, question: Question[T], text: str) -> Answer[T]:
        """Ask about the text as a whole. Raises Retryable and Permanent."""
        completion = await self._complete(question.messages(text))
        return Answer(question.read(completion.text), (completion.usage,))

    async def ask(
        self, question: Question[T], text: str, *, key: str, slots: asyncio.Semaphore
    ) -> Answer[T]:
        """Ask about a text of any length. Raises Retryable and Permanent.

        Each call takes one of the `slots`. With the same `key`, what was answered about parts
        before a failure is not asked again.
        """
        asking = _Asking(self, question, key, slots, self.room(question))
        return await asking.ask(text, MOST_MERGES)

    async def part(self, question: Question[T], text: str, key: str) -> Answer[T]:
        """As `ask_once`, but not twice for the same key and text."""
        messages = question.messages(text)
        digest = hashlib.sha256(msgspec.json.encode((key, messages))).digest()
        completion = self._parts.get(digest) or await self._complete(messages)
        value = question.read(completion.text)
        self._parts[digest] = completion
        if len(self._parts) > REMEMBERED:
            self._parts.popitem(last=False)
        return Answer(value, (completion.usage,))

    async def _complete(self, messages: Sequence[Message]) -> Completion:
        return await self.completer.complete(
            messages,
            model=self.model,
            temperature=self.temperature,
            response_format=self.response_format,
        )


class _Asking(NamedTuple, Generic[T]):
    """One text on its way through a model."""

    asker: Asker
    question: Question[T]
    key: str
    slots: asyncio.Semaphore
    room: float

    async def ask(self, text: str, merges: int) -> Answer[T]:
        """Ask about the text, or about its parts when the model does not take it."""
        size = limit = estimate(text)
        if size <= self.room:
            try:
                async with self.slots:
                    return await self.asker.ask_once(self.question, text)
            except InputTooLong:
                if size <= SMALLEST_PART:
                    raise
            limit = size * HALF
        parts = await asyncio.to_thread(split, text, min(self.room, limit))
        return await self._in_parts(parts, merges)

    async def _in_parts(self, parts: Sequence[str], merges: int) -> Answer[T]:
        if not merges:
            raise Permanent("the answers to the parts of a long text do not become shorter")
        answers = await self._answers(parts)
        values = [answer.value for answer in answers]
        usages = tuple(usage for answer in answers for usage in answer.usages)
        if self.question.combine is not None:
            return Answer(self.question.combine(values), usages)
        told = [f"Part {number}:\n{value}" for number, value in enumerate(values, 1)]
        whole = await self.ask("\n\n".join([_MERGE.format(count=len(told)), *told]), merges - 1)
        return Answer(whole.value, usages + whole.usages)

    async def _answers(self, parts: Sequence[str], within: str = "") -> list[Answer[T]]:
        """The answers to all parts, in order. Waits for each, since each is paid for."""
        failures: list[Failure] = []

        async def settled(part: str, number: int) -> list[Answer[T]]:
            try:
                return await self._answer(part, f"{within}{number}")
            except (Retryable, Permanent) as failure:
                failures.append(failure)
                return []

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(settled(part, n)) for n, part in enumerate(parts, 1)]
        if failures:
            reasons = "; ".join(map(str, failures))
            raise joined(failures, f"{len(failures)} of {len(parts)} parts failed: {reasons}")
        return [answer for task in tasks for answer in task.result()]

    async def _answer(self, part: str, number: str) -> list[Answer[T]]:
        """The answer to one part; to its halves when the model does not take it either."""
        try:
            async with self.slots:
                return [await self.asker.part(self.question, f"Part {number}:\n{part}", self.key)]
        except InputTooLong:
            size = estimate(part)
            if size <= SMALLEST_PART:
                raise
        return await self._answers(split(part, size * HALF), f"{number}.")
