"""A link that asks a model about the text of each dialog."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Generic, Self, TypeVar

from vconflow.links.analysis.asking import Answer, Asker, Question
from vconflow.links.analysis.opening import open_asker
from vconflow.links.analysis.options import DialogOptions
from vconflow.links.analysis.results import add_analysis
from vconflow.links.analysis.source import source_text
from vconflow.links.dialog_work import for_each_dialog
from vconflow.links.filters import in_sample
from vconflow.model.editing import Item
from vconflow.model.references import targets
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

__all__ = ["DialogLink"]

OptionsT = TypeVar("OptionsT", bound=DialogOptions)
T = TypeVar("T")

AT_ONCE = 8
"""Dialogs of one vCon that are worked on at the same time, and calls about all of them."""


class DialogLink(ABC, Generic[OptionsT, T]):
    """Asks about each dialog that has a text and no analysis of its type yet, several at once.

    Each answer is written into the vCon and kept before the next one is; where a dialog fails, the
    others are finished. A subclass says what is asked, and what an answer adds to the vCon.
    """

    paid: ClassVar[bool] = True

    def __init__(self, options: OptionsT, asker: Asker, resources: Resources) -> None:
        self._options = options
        self._asker = asker
        self.planned_seconds = options.planned_seconds

    @classmethod
    @asynccontextmanager
    async def open(cls, options: OptionsT, resources: Resources) -> AsyncIterator[Self]:
        """Open the link on the account that its options name."""
        async with open_asker(options, resources) as asker:
            yield cls(options, asker, resources)

    @abstractmethod
    def question(self) -> Question[T]:
        """What is asked about the text of a dialog."""

    @abstractmethod
    def add(self, vcon: Vcon, dialog: int, answer: Answer[T], run: LinkRun) -> None:
        """Write an answer into the vCon, by `note` and whatever else there is to add."""

    def is_ours(self, analysis: Mapping[str, Any]) -> bool:
        """Whether an analysis of the type is the one that the link would add."""
        return True

    async def after(self, vcon: Vcon, answer: Answer[T]) -> None:
        """Do what is to be done once an answer is kept."""

    def note(
        self,
        vcon: Vcon,
        dialog: int,
        answer: Answer[T],
        asked: Mapping[str, Any],
        body: Any,
        encoding: str | None = None,
    ) -> None:
        """Add the analysis itself."""
        added = self._options.analysis_type
        add_analysis(vcon, added, dialog, self._asker, answer, asked, body, encoding)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Analyse the dialogs. Raises Retryable or Permanent, naming the dialogs that failed."""
        if not (self._options.only_if(vcon) and in_sample(self._options.sampling_rate, run)):
            return CONTINUE
        sources = self._sources(vcon)
        if not sources:
            return CONTINUE
        vcon.edit("analysis")  # refuses a signed vCon before anything is paid for
        question, slots, adding = self.question(), asyncio.Semaphore(AT_ONCE), asyncio.Lock()

        async def work(dialog: int, source: Item) -> None:
            text = source_text(source, self._options.source.text_location)
            if text is None:
                return
            key = f"{run.idempotency_key}:{dialog}"
            answer = await self._asker.ask(question, text, key=key, slots=slots)
            async with adding:
                self.add(vcon, dialog, answer, run)
                await run.keep()
            await self.after(vcon, answer)

        await for_each_dialog(work, sources, AT_ONCE)
        return CONTINUE

    def _sources(self, vcon: Vcon) -> dict[int, Item]:
        """The analyses to ask about, by dialog."""
        sources: dict[int, Item] = {}
        done: set[int] = set()
        for analysis in vcon.analysis:
            dialogs = tuple(targets(analysis.get("dialog")))
            if analysis.get("type") == self._options.source.analysis_type:
                sources = dict.fromkeys(dialogs, analysis) | sources
            if analysis.get("type") == self._options.analysis_type and self.is_ours(analysis):
                done.update(dialogs)
        return {index: source for index, source in sources.items() if index not in done}
