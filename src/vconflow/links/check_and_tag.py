"""Check and tag: ask a language model a yes-or-no question about each dialog; tag on yes."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from vconflow.links.analysis.answers import truth_of
from vconflow.links.analysis.asking import Answer, Question
from vconflow.links.analysis.dialogs import DialogLink
from vconflow.links.analysis.options import (
    AnalysisType,
    DialogOptions,
    DialogSource,
    Model,
    ResponseFormat,
    Source,
    json_answers,
)
from vconflow.links.analysis.source import BODY
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options
from vconflow.ports.link import LinkRun

__all__ = ["CheckAndTagLink", "CheckAndTagOptions"]

_SYSTEM = (
    "You are a helpful assistant that evaluates text against specific questions and provides "
    "yes/no answers."
)
_ASKED = (
    "Please answer with a JSON object containing a single key 'applies' with a boolean value "
    "(true if the tag applies, false if it doesn't)."
)


class CheckAndTagOptions(DialogOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `check_and_tag`."""

    tag_name: Annotated[str, Meta(min_length=1, description="Name of the tag.")]
    tag_value: Annotated[str, Meta(min_length=1, description="Value of the tag.")]
    evaluation_question: Annotated[
        str,
        Meta(min_length=1, description="The question; the tag is added when it is answered yes."),
    ]
    analysis_type: AnalysisType = "tag_evaluation"
    model: Model = "gpt-5"
    source: DialogSource = Source(text_location=BODY)
    response_format: ResponseFormat = msgspec.field(default_factory=json_answers)
    verbosity: Annotated[
        Literal["low", "medium", "high"],
        Meta(description="Without effect, as in the reference: it is not sent."),
    ] = "low"
    minimal_reasoning: Annotated[
        bool, Meta(description="Without effect, as in the reference: it is not sent.")
    ] = True


class CheckAndTagLink(DialogLink[CheckAndTagOptions, bool]):
    """Adds the answer as an analysis to each dialog with a transcript, and the tag on yes."""

    options: ClassVar[type[Options]] = CheckAndTagOptions

    def question(self) -> Question[bool]:
        question = self._options.evaluation_question
        return Question(
            lambda text: f"Question: {question}\n\nText to evaluate:\n{text}\n\n{_ASKED}",
            lambda answer: truth_of(answer, "applies"),
            _SYSTEM,
            any,
        )

    def is_ours(self, analysis: Mapping[str, Any]) -> bool:
        # Several links of a chain check for different tags, mostly under the same type.
        body = analysis.get("body")
        return not isinstance(body, Mapping) or body.get("tag", self._tag) == self._tag

    def add(self, vcon: Vcon, dialog: int, answer: Answer[bool], run: LinkRun) -> None:
        body = {"link_name": run.link, "tag": self._tag, "applies": answer.value}
        asked = {"evaluation_question": self._options.evaluation_question}
        self.note(vcon, dialog, answer, asked, body)
        if answer.value:
            vcon.add_tag(self._options.tag_name, self._options.tag_value)

    @property
    def _tag(self) -> str:
        return f"{self._options.tag_name}:{self._options.tag_value}"
