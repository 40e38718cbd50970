"""Detect engagement: let a language model tell whether both customer and agent spoke."""

from typing import ClassVar

from vconflow.links.analysis.answers import truth
from vconflow.links.analysis.asking import Answer, Question
from vconflow.links.analysis.dialogs import DialogLink
from vconflow.links.analysis.options import (
    AnalysisType,
    DialogOptions,
    Model,
    Prompt,
    Temperature,
)
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options
from vconflow.ports.link import LinkRun

__all__ = ["DetectEngagementLink", "DetectEngagementOptions"]


class DetectEngagementOptions(DialogOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `detect_engagement`."""

    prompt: Prompt = (
        "Did both the customer and the agent speak? Respond with 'true' if yes, 'false' if not. "
        "Respond with only 'true' or 'false'."
    )
    analysis_type: AnalysisType = "engagement_analysis"
    model: Model = "gpt-4.1"
    temperature: Temperature = 0.2


class DetectEngagementLink(DialogLink[DetectEngagementOptions, bool]):
    """Adds `true` or `false` as an analysis to each dialog with a transcript, and as a tag."""

    options: ClassVar[type[Options]] = DetectEngagementOptions

    def question(self) -> Question[bool]:
        prompt = self._options.prompt
        return Question(lambda text: f"{prompt}\n\nTranscript: {text}", truth, combine=any)

    def add(self, vcon: Vcon, dialog: int, answer: Answer[bool], run: LinkRun) -> None:
        engaged = "true" if answer.value else "false"
        asked = {"prompt": self._options.prompt, "is_engaged": engaged}
        self.note(vcon, dialog, answer, asked, engaged, "none")
        vcon.add_tag("engagement", engaged)
