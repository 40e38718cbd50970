"""Groq: transcripts by Whisper as Groq runs it."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from vconflow.links.transcription.link import Plan, TranscriptionLink
from vconflow.links.transcription.options import (
    ContentType,
    MinimumDuration,
    TranscriptionOptions,
)
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account, TranscriberOptions

__all__ = ["GroqWhisperLink", "GroqWhisperOptions"]


class GroqWhisperOptions(
    TranscriptionOptions, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Options of the link `groq_whisper`."""

    aliases: ClassVar[dict[str, str]] = {"api_key": "api_key"}

    api_key: Annotated[
        Secret | None, Meta(description="Groq's key. Unset: `GROQ_API_KEY` of the environment.")
    ] = msgspec.field(name="API_KEY", default=None)
    base_url: Annotated[str | None, Meta(description="The server, if it is not Groq's own.")] = None
    model: Annotated[str, Meta(description="The model.")] = "whisper-large-v3-turbo"
    minimum_duration: MinimumDuration = 30.0
    content_type: ContentType = msgspec.field(name="Content-Type", default="audio/flac")


class GroqWhisperLink(TranscriptionLink):
    """Adds Groq's transcript of each recording that has none."""

    options: ClassVar[type[TranscriptionOptions]] = GroqWhisperOptions

    @classmethod
    def plan(cls, options: GroqWhisperOptions) -> Plan:
        """Ask Groq."""
        return Plan(
            vendor="groq_whisper",
            provider="groq",
            transcriber=TranscriberOptions(
                account=Account(
                    api_key=options.api_key,
                    base_url=options.base_url,
                    timeout=options.provider_timeout,
                    concurrency=options.provider_concurrency,
                ),
                model=options.model,
            ),
            language=options.language,
            minimum_duration=options.minimum_duration,
            stated={"minimum_duration": options.minimum_duration, "model": options.model},
            media_type=options.content_type,
            portal=options.portal,
        )
