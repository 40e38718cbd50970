"""Analyze: let a language model answer one prompt about each dialog."""

from typing import ClassVar

from vconflow.links.analysis.answers import words
from vconflow.links.analysis.asking import Answer, Asker, Question
from vconflow.links.analysis.dialogs import DialogLink
from vconflow.links.analysis.options import (
    AnalysisType,
    DialogOptions,
    Model,
    Prompt,
    SystemPrompt,
    Temperature,
)
from vconflow.links.analysis.results import total
from vconflow.links.usage_portal import PortalAccess, PortalToken, PortalUrl, UsagePortal
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import LinkRun

__all__ = ["AnalyzeLink", "AnalyzeOptions"]


class AnalyzeOptions(DialogOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `analyze`."""

    prompt: Prompt = ""
    system_prompt: SystemPrompt = "You are a helpful assistant."
    analysis_type: AnalysisType = "summary"
    model: Model = "gpt-3.5-turbo-16k"
    temperature: Temperature = 0
    send_ai_usage_data_to_url: PortalUrl = ""
    ai_usage_api_token: PortalToken = None


class AnalyzeLink(DialogLink[AnalyzeOptions, str]):
    """Adds one analysis per dialog that has a transcript: the model's answer to the prompt."""

    options: ClassVar[type[Options]] = AnalyzeOptions

    def __init__(self, options: AnalyzeOptions, asker: Asker, resources: Resources) -> None:
        super().__init__(options, asker, resources)
        portal = PortalAccess(options.send_ai_usage_data_to_url, options.ai_usage_api_token)
        self._portal = UsagePortal.of(portal, resources)

    def question(self) -> Question[str]:
        prompt, system = self._options.prompt, self._options.system_prompt
        return Question(lambda text: f"{prompt}\n\n{text}", words, system)

    def add(self, vcon: Vcon, dialog: int, answer: Answer[str], run: LinkRun) -> None:
        self.note(vcon, dialog, answer, {"prompt": self._options.prompt}, answer.value, "none")

    async def after(self, vcon: Vcon, answer: Answer[str]) -> None:
        if self._portal is not None:
            await self._portal.tell(vcon.uuid, "ANALYZE", total(answer.usages))
