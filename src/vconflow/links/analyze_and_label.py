"""Analyze and label: let a language model label each dialog, and tag the vCon with the labels."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from vconflow.links.analysis.answers import json_object, labels_of
from vconflow.links.analysis.asking import Answer, Question
from vconflow.links.analysis.dialogs import DialogLink
from vconflow.links.analysis.options import (
    AnalysisType,
    DialogOptions,
    Model,
    Prompt,
    ResponseFormat,
    Temperature,
    json_answers,
)
from vconflow.model.rawjson import encode
from vconflow.model.vcon import Vcon
from vconflow.model.versions import LEGACY
from vconflow.ports.component import Options
from vconflow.ports.link import LinkRun

__all__ = ["AnalyzeAndLabelLink", "AnalyzeAndLabelOptions"]

_SYSTEM = "You are a helpful assistant that analyzes text and provides relevant labels."


class AnalyzeAndLabelOptions(DialogOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `analyze_and_label`."""

    prompt: Prompt = (
        "Analyze this transcript and provide a list of relevant labels for categorization. Return "
        "your response as a JSON object with a single key 'labels' containing an array of strings."
    )
    analysis_type: AnalysisType = "labeled_analysis"
    model: Model = "gpt-4-turbo"
    temperature: Temperature = 0.2
    response_format: ResponseFormat = msgspec.field(default_factory=json_answers)
    label_tag: Annotated[
        str,
        Meta(
            description="Each label also becomes a tag of this name, `label:<label>`, besides the "
            "tag that is named as the label. Empty for none."
        ),
    ] = "label"


class AnalyzeAndLabelLink(DialogLink[AnalyzeAndLabelOptions, dict[str, Any]]):
    """Adds one analysis with labels per dialog that has a transcript, and tags of the labels."""

    options: ClassVar[type[Options]] = AnalyzeAndLabelOptions

    def question(self) -> Question[dict[str, Any]]:
        prompt = self._options.prompt
        return Question(lambda text: f"{prompt}\n\n{text}", _labelled, _SYSTEM, _united)

    def add(self, vcon: Vcon, dialog: int, answer: Answer[dict[str, Any]], run: LinkRun) -> None:
        # Where `json` is a text, before core-03, the reference writes the answer as one.
        body = encode(answer.value).decode() if vcon.version in LEGACY else answer.value
        self.note(vcon, dialog, answer, {"prompt": self._options.prompt}, body, "json")
        for label in labels_of(answer.value):
            vcon.add_tag(label, label)
            if self._options.label_tag:
                vcon.add_tag(self._options.label_tag, label)


def _labelled(answer: str) -> dict[str, Any]:
    found = json_object(answer)
    labels_of(found)
    return found


def _united(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All labels of the parts; of other members those of the first part that has them."""
    first: dict[str, Any] = {}
    for answer in reversed(answers):
        first |= answer
    labels = [label for answer in answers for label in labels_of(answer)]
    return first | {"labels": list(dict.fromkeys(labels))}
