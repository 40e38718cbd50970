"""Analyze vCon: let a language model answer in JSON about the whole vCon."""

import asyncio
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from vconflow.errors import Permanent
from vconflow.links.analysis.answers import json_object
from vconflow.links.analysis.asking import Question
from vconflow.links.analysis.model_link import ModelLink
from vconflow.links.analysis.options import (
    AnalysisType,
    Model,
    ModelOptions,
    Prompt,
    ResponseFormat,
    SystemPrompt,
    Temperature,
    json_answers,
)
from vconflow.links.analysis.tokens import estimate, window_of
from vconflow.model.rawjson import decode_exact, encode
from vconflow.model.vcon import Vcon
from vconflow.ports.completer import InputTooLong
from vconflow.ports.component import Options
from vconflow.ports.link import LinkRun

__all__ = ["AnalyzeVconLink", "AnalyzeVconOptions"]

# The estimate is up to twice too high: what is beyond that is not even sent.
_SURELY = 2


class AnalyzeVconOptions(ModelOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `analyze_vcon`."""

    prompt: Prompt = "Analyze this vCon and return a JSON object with your analysis."
    system_prompt: SystemPrompt = (
        "You are a helpful assistant that analyzes conversation data and returns structured JSON "
        "output."
    )
    analysis_type: AnalysisType = "json_analysis"
    model: Model = "gpt-3.5-turbo-16k"
    temperature: Temperature = 0
    response_format: ResponseFormat = msgspec.field(default_factory=json_answers)
    remove_body_properties: Annotated[
        bool, Meta(description="Whether the bodies of dialogs are left out of what is sent.")
    ] = True


class AnalyzeVconLink(ModelLink[AnalyzeVconOptions]):
    """Adds one analysis of the whole vCon: the JSON object that the model answers."""

    options: ClassVar[type[Options]] = AnalyzeVconOptions

    async def work(self, vcon: Vcon, run: LinkRun) -> None:
        """Analyse the vCon. Raises Permanent when it is longer than the model takes."""
        options = self._options
        if vcon.find_analysis(options.analysis_type) is not None:
            return
        vcon.edit("analysis")  # refuses a signed vCon before anything is paid for
        question = Question(
            lambda text: f"{options.prompt}\n\n{text}", json_object, options.system_prompt
        )
        text = await asyncio.to_thread(self._text, vcon.to_bytes())
        try:
            answer = await self._asker.ask_once(question, text)
        except InputTooLong as error:
            raise Permanent(f"{self._too_long()} ({error})") from error
        # The reference points at the first dialog, as many readers look there.
        dialog = 0 if vcon.dialog else None
        asked = {"prompt": options.prompt, "system_prompt": options.system_prompt}
        self.note(vcon, dialog, answer, asked, answer.value)
        await run.keep()

    def _text(self, document: bytes) -> str:
        members: dict[str, Any] = decode_exact(document)
        if self._options.remove_body_properties:
            for dialog in members.get("dialog") or ():
                dialog.pop("body", None)
        text = encode(members).decode()
        window = self._options.context_tokens or window_of(self._options.model)
        if estimate(text) > _SURELY * window:
            raise Permanent(self._too_long())
        return text

    def _too_long(self) -> str:
        advice = "a model that takes more, or links.diet before this link"
        if not self._options.remove_body_properties:
            advice = f"remove_body_properties, {advice}"
        return (
            f"the vCon is longer than {self._options.model} takes, and JSON about all of it cannot "
            f"be put together from parts: try {advice}"
        )
