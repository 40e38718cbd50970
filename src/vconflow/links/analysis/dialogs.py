"""A link that asks a model about the text of each dialog."""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from vconflow.links.analysis.asking import Answer, Question
from vconflow.links.analysis.model_link import ModelLink
from vconflow.links.analysis.options import DialogOptions
from vconflow.links.analysis.source import source_text
from vconflow.links.dialog_work import for_each_dialog
from vconflow.model.editing import Item
from vconflow.model.references import targets
from vconflow.model.vcon import Vcon
from vconflow.ports.link import LinkRun

__all__ = ["DialogLink"]

OptionsT = TypeVar("OptionsT", bound=DialogOptions)
T = TypeVar("T")


class DialogLink(ModelLink[OptionsT], Generic[OptionsT, T]):
    """Asks about each dialog that has a text and no analysis of its type yet, several at once.

    Each answer is written into the vCon and kept before the next one is; where a dialog fails, the
    others are finished. A subclass says what is asked, and what an answer adds to the vCon.
    """

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

    async def work(self, vcon: Vcon, run: LinkRun) -> None:
        """Analyse the dialogs. Raises Retryable or Permanent, naming the dialogs that failed."""
        sources = self._sources(vcon)
        if not sources:
            return
        vcon.edit("analysis")  # refuses a signed vCon before anything is paid for
        question, most = self.question(), self._options.concurrency
        slots, adding = asyncio.Semaphore(most), asyncio.Lock()

        async def ask(dialog: int, source: Item) -> None:
            text = source_text(source, self._options.source.text_location)
            if text is None:
                return
            key = f"{run.idempotency_key}:{dialog}"
            answer = await self._asker.ask(question, text, key=key, slots=slots)
            async with adding:
                self.add(vcon, dialog, answer, run)
                await run.keep()
            await self.after(vcon, answer)

        await for_each_dialog(ask, sources, most)

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
