"""Transcription by inference endpoints of Hugging Face: the recording in, its text out."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

from vconflow.adapters.providers.requests import Answer, Caller, ask, refusal
from vconflow.errors import ConfigError, Permanent, Problem, Retryable
from vconflow.ports.transcriber import Recording, Transcript
from vconflow.ports.usage import Usage

__all__ = ["HuggingFaceTranscriber"]

_MODEL: Final = "openai/whisper-large-v3"
_LONGEST_LOADING: Final = 600.0


class HuggingFaceTranscriber:
    """A Transcriber. A base URL of the options is an endpoint as a whole, else the model is named.

    Of `options` only `Content-Type` counts, which goes before the type that the recording says.
    """

    takes_urls: ClassVar[bool] = False
    vendor = "hugging_face"

    def __init__(
        self,
        caller: Caller,
        model: str | None,
        options: Mapping[str, Any],
        *,
        endpoint: bool,
    ) -> None:
        if unknown := next((name for name in options if name.lower() != "content-type"), None):
            raise ConfigError([Problem((), f"unknown option {unknown!r}", "unknown_option")])
        self._caller = caller
        self._model = model or _MODEL
        path = "" if endpoint else f"/models/{quote(self._model)}"
        self._url = f"{caller.login.base_url}{path}"
        self._key = caller.login.key.reveal().removeprefix("Bearer ").strip()
        self._media_type = next((str(value) for value in options.values() if value), "")

    async def transcribe(self, recording: Recording, *, language: str | None = None) -> Transcript:
        assert recording.file is not None, "this provider takes no URLs"
        headers = {
            "authorization": f"Bearer {self._key}",
            "accept": "application/json",
            "content-type": self._media_type or recording.media_type,
        }
        async with self._caller.line.call(self._model, self._caller.timeout):
            answer = await ask(self._caller.client, self._url, headers, recording.file)
            if not 200 <= answer.status < 300:
                raise _failure(self.vendor, answer)
        usage = Usage(self.vendor, self._model, audio_seconds=recording.duration or 0.0)
        priced = self._caller.line.bill(self._model, usage)
        text = answer.content.get("text") if isinstance(answer.content, dict) else None
        if not isinstance(text, str):
            raise Permanent(f"{self.vendor}: an answer without a text")
        return Transcript(
            text=text.strip(),
            body=answer.content,
            usage=priced,
            language=language,
            duration=recording.duration,
        )


def _failure(provider: str, answer: Answer) -> Retryable | Permanent:
    failure = refusal(provider, answer)
    said = answer.content.get("estimated_time") if isinstance(answer.content, dict) else None
    if answer.status == 503 and answer.retry_after is None and isinstance(said, int | float):
        # The model is being loaded, and the provider says how long that takes.
        wait = min(max(float(said), 0.0), _LONGEST_LOADING)
        return Retryable(f"{provider}: the model is being loaded", retry_after=wait)
    return failure
