"""Transcription by Deepgram, of URLs and of files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from vconflow.adapters.providers.requests import Answer, Caller, ask, refusal
from vconflow.errors import ConfigError, Permanent, Problem
from vconflow.ports.transcriber import Recording, Transcript
from vconflow.ports.usage import Usage

__all__ = ["DeepgramTranscriber"]

_MODEL: Final = "nova-3"


class DeepgramTranscriber:
    """A Transcriber; `options` are those of POST /v1/listen. Raises ConfigError for a callback,
    as the transcript would go elsewhere.
    """

    takes_urls: ClassVar[bool] = True
    vendor = "deepgram"

    def __init__(
        self,
        caller: Caller,
        model: str | None,
        options: Mapping[str, Any],
    ) -> None:
        if options.get("callback"):
            raise ConfigError([Problem((), "callback is not supported", "unsupported")])
        self._caller = caller
        self._url = f"{caller.login.base_url}/v1/listen"
        self._model = str(model or options.get("model") or _MODEL)
        self._query = {
            name: value
            for name, value in {**options, "model": self._model}.items()
            if value is not None
        }

    async def transcribe(self, recording: Recording, *, language: str | None = None) -> Transcript:
        query = dict(self._query)
        if language is not None and not query.get("detect_language"):
            query.setdefault("language", language)
        headers = {"authorization": f"Token {self._caller.login.key.reveal()}"}
        content: bytes | Path
        if recording.file is not None:
            headers["content-type"] = recording.media_type
            content = recording.file
        else:
            headers["content-type"] = "application/json"
            content = msgspec.json.encode({"url": recording.url})
        async with self._caller.line.call(self._model, self._caller.timeout):
            answer = await ask(self._caller.client, self._url, headers, content, query)
            if not 200 <= answer.status < 300:
                code = answer.content.get("err_code") if isinstance(answer.content, dict) else ""
                raise refusal(self.vendor, answer, code)
        return self._transcript(answer, recording, language)

    def _transcript(self, answer: Answer, recording: Recording, language: str | None) -> Transcript:
        try:
            channel = answer.content["results"]["channels"][0]
            alternative = channel["alternatives"][0]
            seconds = answer.content["metadata"]["duration"]
            text = alternative["transcript"]
        except (TypeError, KeyError, IndexError):
            raise Permanent("deepgram: an answer without a transcript") from None
        usage = Usage(self.vendor, self._model, audio_seconds=float(seconds))
        detected = channel.get("detected_language")
        # The reference adds the language to what it keeps, and takes English for granted.
        body = {**alternative, "detected_language": detected or language or "en"}
        return Transcript(
            text=str(text),
            body=body,
            usage=self._caller.line.bill(self._model, usage),
            confidence=alternative.get("confidence"),
            language=detected or language,
            duration=float(seconds),
        )
