"""A link that asks a language model: its account, and which vCons it is about."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Generic, Self, TypeVar

from vconflow.links.analysis.asking import Answer, Asker
from vconflow.links.analysis.options import ModelOptions
from vconflow.links.analysis.results import add_analysis
from vconflow.links.filters import in_sample
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

__all__ = ["ModelLink"]

OptionsT = TypeVar("OptionsT", bound=ModelOptions)


class ModelLink(ABC, Generic[OptionsT]):
    """Works on the vCons that its options mean; a subclass says how."""

    options: ClassVar[type[Options]]
    paid: ClassVar[bool] = True

    def __init__(self, options: OptionsT, asker: Asker, resources: Resources) -> None:
        self._options = options
        self._asker = asker
        self.planned_seconds = options.planned_seconds

    @classmethod
    @asynccontextmanager
    async def open(cls, options: OptionsT, resources: Resources) -> AsyncIterator[Self]:
        """Open the account that the options name. Raises ConfigError when there is none."""
        async with resources.providers.completer(options.account()) as completer:
            asker = Asker(
                completer,
                options.model,
                options.temperature,
                options.response_format,
                options.context_tokens,
            )
            yield cls(options, asker, resources)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Do the work, if the vCon is meant. Raises Retryable and Permanent."""
        if self._options.only_if(vcon) and in_sample(self._options.sampling_rate, run):
            await self.work(vcon, run)
        return CONTINUE

    @abstractmethod
    async def work(self, vcon: Vcon, run: LinkRun) -> None:
        """Ask, add what is answered, and keep it."""

    def note(
        self,
        vcon: Vcon,
        dialog: int | None,
        answer: Answer[Any],
        asked: Mapping[str, Any],
        body: Any,
        encoding: str | None = None,
    ) -> None:
        """Add the analysis itself."""
        added = self._options.analysis_type
        add_analysis(vcon, added, dialog, self._asker, answer, asked, body, encoding)
