"""Hugging Face: transcripts by an inference endpoint of Hugging Face."""

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

__all__ = ["HuggingFaceWhisperLink", "HuggingFaceWhisperOptions"]


class HuggingFaceWhisperOptions(
    TranscriptionOptions, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Options of the link `hugging_face_whisper`."""

    aliases: ClassVar[dict[str, str]] = {"api_key": "api_key", "base_url": "base_url"}

    api_key: Annotated[
        Secret | None, Meta(description="The token, with or without `Bearer` before it.")
    ] = msgspec.field(name="API_KEY", default=None)
    base_url: Annotated[str | None, Meta(description="The address of the endpoint.")] = (
        msgspec.field(name="API_URL", default=None)
    )
    minimum_duration: MinimumDuration = 30.0
    content_type: ContentType = msgspec.field(name="Content-Type", default="audio/flac")


class HuggingFaceWhisperLink(TranscriptionLink):
    """Adds the transcript of a Hugging Face endpoint to each recording that has none."""

    options: ClassVar[type[TranscriptionOptions]] = HuggingFaceWhisperOptions

    @classmethod
    def plan(cls, options: HuggingFaceWhisperOptions) -> Plan:
        """Ask the endpoint."""
        return Plan(
            vendor="hugging_face_whisper",
            provider="hugging_face",
            transcriber=TranscriberOptions(
                account=Account(
                    api_key=options.api_key,
                    base_url=options.base_url,
                    timeout=options.provider_timeout,
                    concurrency=options.provider_concurrency,
                )
            ),
            language=options.language,
            minimum_duration=options.minimum_duration,
            stated={"minimum_duration": options.minimum_duration},
            media_type=options.content_type,
            portal=options.portal,
        )
