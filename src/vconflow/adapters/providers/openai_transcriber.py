"""Transcription by the API of OpenAI: its own, Groq's, and that of proxies."""

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vconflow.adapters.providers.line import Line
from vconflow.adapters.providers.media import filename_of
from vconflow.adapters.providers.openai_client import expect, mapped_errors
from vconflow.errors import ConfigError, Permanent, Problem
from vconflow.ports.transcriber import Recording, Transcript
from vconflow.ports.usage import Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["OpenAiTranscriber"]

_FORMATS: Final = ("json", "verbose_json", "diarized_json")
_MOST_BYTES: Final = 100 * 1024 * 1024
"""More than any of these providers takes; the whole recording is in memory while it is sent."""


class OpenAiTranscriber:
    """A Transcriber; `options` are further fields of the form. Raises ConfigError for one that
    asks for another answer than JSON.
    """

    takes_urls: ClassVar[bool] = False

    def __init__(
        self,
        client: "AsyncOpenAI",
        line: Line,
        timeout: float,
        vendor: str,
        model: str,
        options: Mapping[str, Any],
    ) -> None:
        self.vendor = vendor
        self._client = client
        self._line = line
        self._timeout = timeout
        self._model = model
        self._fields = {name: value for name, value in options.items() if value is not None}
        wanted = self._fields.setdefault("response_format", "json")
        if wanted not in _FORMATS or self._fields.get("stream"):
            message = f"response_format must be one of {', '.join(_FORMATS)}, without stream"
            raise ConfigError([Problem((), message, "unsupported")])

    async def transcribe(self, recording: Recording, *, language: str | None = None) -> Transcript:
        import openai

        fields = dict(self._fields)
        if language is not None:
            fields.setdefault("language", language)
        async with self._line.call(self._model, self._timeout):
            content = await _content(self._line.provider, recording)
            with mapped_errors(self._line.provider):
                answer = await self._client.audio.transcriptions.create(
                    model=self._model,
                    file=(filename_of(recording), content, recording.media_type),
                    extra_body=fields,
                )
            body = expect(self._line.provider, answer, openai.BaseModel).to_dict(mode="json")
        return self._transcript(body, recording, language)

    def _transcript(
        self, body: dict[str, Any], recording: Recording, language: str | None
    ) -> Transcript:
        usage = self._line.bill(self._model, self._usage(body, recording))
        text = body.get("text")
        if not isinstance(text, str):
            raise Permanent(f"{self._line.provider}: an answer without a text")
        return Transcript(
            text=text.strip(),
            # What a proxy says for Deepgram is kept as Deepgram's own, as in the reference.
            body={"transcript": text} if self.vendor == "deepgram" else body,
            usage=usage,
            confidence=_confidence(body.get("segments")),
            language=language or body.get("language"),
            duration=usage.audio_seconds or None,
        )

    def _usage(self, body: dict[str, Any], recording: Recording) -> Usage:
        counted = body.get("usage") or {}
        seconds = counted.get("seconds") or body.get("duration") or recording.duration or 0.0
        return Usage(
            provider=self._line.provider,
            model=self._model,
            input_tokens=int(counted.get("input_tokens") or 0),
            output_tokens=int(counted.get("output_tokens") or 0),
            audio_seconds=float(seconds),
        )


async def _content(provider: str, recording: Recording) -> bytes:
    assert isinstance(recording.file, Path), "this provider takes no URLs"
    return await asyncio.to_thread(_read, provider, recording.file)


def _read(provider: str, file: Path) -> bytes:
    size = file.stat().st_size
    if size > _MOST_BYTES:
        raise Permanent(f"{provider}: a recording of {size} bytes is too long to be uploaded")
    return file.read_bytes()


def _confidence(segments: object) -> float | None:
    """How sure the model was of its tokens on average, weighted by the length of the segments."""
    if not isinstance(segments, list) or not segments:
        return None
    weights = [
        (max(segment["end"] - segment["start"], 0.01), segment["avg_logprob"])
        for segment in segments
        if segment.get("avg_logprob") is not None
    ]
    if not weights:
        return None
    mean = sum(weight * logprob for weight, logprob in weights) / sum(w for w, _ in weights)
    return min(math.exp(mean), 1.0)
