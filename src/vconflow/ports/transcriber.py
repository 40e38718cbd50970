"""Speech to text."""

from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from vconflow.ports.usage import Usage

__all__ = ["Recording", "Transcriber", "Transcript"]


class Recording(msgspec.Struct, frozen=True):
    """A recording in a file of this machine, or (`url`) where the provider itself may fetch it.

    `file` is None only for providers that take URLs. `duration` is in seconds, None if unknown.
    """

    media_type: str
    file: Path | None = None
    url: str | None = None
    filename: str = "recording"
    duration: float | None = None


class Transcript(msgspec.Struct, frozen=True):
    """What was said.

    `text` is all of it. `body` is the JSON that the analysis of the vCon holds, in the shape that
    the reference's link of this vendor writes. `confidence` is between 0 and 1, `duration` in
    seconds.
    """

    text: str
    body: Any
    usage: Usage
    confidence: float | None = None
    language: str | None = None
    duration: float | None = None


class Transcriber(Protocol):
    """One account at one provider of transcription, with its model."""

    vendor: str
    """The provider as analyses name it: `deepgram`, `openai`, `groq`, `hugging_face`."""
    takes_urls: ClassVar[bool]
    """Whether the provider fetches recordings itself when it is given a URL."""

    async def transcribe(self, recording: Recording, *, language: str | None = None) -> Transcript:
        """Transcribe one recording; `language` is an ISO 639-1 code, None lets the model find out.

        Raises `Retryable` and `Permanent` as `Completer.complete` does.
        """
        ...
