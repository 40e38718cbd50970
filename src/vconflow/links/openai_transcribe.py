"""OpenAI: transcripts by the audio API of OpenAI, Azure or a LiteLLM proxy."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from vconflow.links.recordings.splitting import Cutting
from vconflow.links.transcription.link import Plan, TranscriptionLink
from vconflow.links.transcription.options import MinimumDuration, TranscriptionOptions
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account, TranscriberOptions

__all__ = ["OpenaiTranscribeLink", "OpenaiTranscribeOptions"]


class OpenaiTranscribeOptions(
    TranscriptionOptions, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Options of the link `openai_transcribe`."""

    aliases: ClassVar[dict[str, str]] = {
        "openai_api_key": "api_key",
        "api_key": "api_key",
        "OPENAI_BASE_URL": "base_url",
        "organization_key": "organization",
        "project_key": "project",
    }

    api_key: Annotated[
        Secret | None,
        Meta(description="OpenAI's key. The accounts of the environment go before all of these."),
    ] = msgspec.field(name="OPENAI_API_KEY", default=None)
    base_url: Annotated[
        str | None, Meta(description="Another server that speaks OpenAI's API.")
    ] = None
    organization: Annotated[str | None, Meta(description="The organization to bill.")] = None
    project: Annotated[str | None, Meta(description="The project to bill.")] = None
    azure_api_key: Annotated[Secret | None, Meta(description="Azure's key.")] = msgspec.field(
        name="AZURE_OPENAI_API_KEY", default=None
    )
    azure_endpoint: Annotated[
        str | None, Meta(description="Azure's resource, to be used when it has a key too.")
    ] = msgspec.field(name="AZURE_OPENAI_ENDPOINT", default=None)
    azure_api_version: Annotated[str | None, Meta(description="Azure's API version.")] = (
        msgspec.field(name="AZURE_OPENAI_API_VERSION", default=None)
    )
    litellm_proxy_url: Annotated[
        str | None, Meta(description="A LiteLLM proxy, which goes before the others.")
    ] = msgspec.field(name="LITELLM_PROXY_URL", default=None)
    litellm_master_key: Annotated[Secret | None, Meta(description="The key of the proxy.")] = (
        msgspec.field(name="LITELLM_MASTER_KEY", default=None)
    )
    model: Annotated[str, Meta(description="The model.")] = "gpt-4o-transcribe"
    minimum_duration: MinimumDuration = 3.0
    max_chunk_duration: Annotated[
        float,
        Meta(
            ge=10,
            description="Longer recordings, in seconds, are transcribed in pieces. Needs the extra "
            "`audio`; without it they are sent whole.",
        ),
    ] = 480.0
    use_silence_chunking: Annotated[
        bool, Meta(description="Cut where nobody speaks, if possible, instead of by the clock.")
    ] = True
    silence_thresh: Annotated[
        float, Meta(description="What is less loud, in dBFS, is silence.")
    ] = -40.0
    silence_len: Annotated[
        float, Meta(gt=0, description="Milliseconds that it must be silent to cut there.")
    ] = 2000.0

    @property
    def cutting(self) -> Cutting:
        """How long recordings are cut."""
        silence = self.silence_len / 1000 if self.use_silence_chunking else None
        return Cutting(self.max_chunk_duration, silence, self.silence_thresh)


class OpenaiTranscribeLink(TranscriptionLink):
    """Adds OpenAI's transcript of each recording that has none."""

    options: ClassVar[type[TranscriptionOptions]] = OpenaiTranscribeOptions

    @classmethod
    def plan(cls, options: OpenaiTranscribeOptions) -> Plan:
        """Ask whichever account is configured."""
        return Plan(
            vendor="openai",
            provider="openai",
            transcriber=TranscriberOptions(
                account=Account(
                    api_key=options.api_key,
                    base_url=options.base_url,
                    organization=options.organization,
                    project=options.project,
                    azure_endpoint=options.azure_endpoint,
                    azure_api_key=options.azure_api_key,
                    azure_api_version=options.azure_api_version,
                    litellm_proxy_url=options.litellm_proxy_url,
                    litellm_master_key=options.litellm_master_key,
                    timeout=options.provider_timeout,
                    concurrency=options.provider_concurrency,
                ),
                model=options.model,
            ),
            language=options.language,
            minimum_duration=options.minimum_duration,
            stated={
                "model": options.model,
                "language": options.language,
                "minimum_duration": options.minimum_duration,
            },
            cutting=options.cutting,
            portal=options.portal,
        )
