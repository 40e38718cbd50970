"""Deepgram: transcripts by Deepgram's API for recordings."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from vconflow.links.transcription.link import Plan, TranscriptionLink
from vconflow.links.transcription.options import MinimumDuration, TranscriptionOptions
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account, TranscriberOptions

__all__ = ["DeepgramLink", "DeepgramOptions"]


class DeepgramOptions(TranscriptionOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the links `deepgram_link` and, as it was once called, `deepgram`."""

    aliases: ClassVar[dict[str, str]] = {"api_key": "api_key"}

    api_key: Annotated[
        Secret | None, Meta(description="Deepgram's key. Unset: `DEEPGRAM_KEY` of the environment.")
    ] = msgspec.field(name="DEEPGRAM_KEY", default=None)
    base_url: Annotated[
        str | None, Meta(description="The server, if it is not Deepgram's own.")
    ] = None
    api: Annotated[
        dict[str, Any],
        Meta(description="Parameters of Deepgram's API: model, smart_format, detect_language, ..."),
    ] = msgspec.field(default_factory=dict)
    model: Annotated[str | None, Meta(description="The model; goes before that of `api`.")] = None
    minimum_duration: MinimumDuration = 60.0
    minimum_confidence: Annotated[
        float,
        Meta(ge=0, le=1, description="Transcripts of less confidence are not added to the vCon."),
    ] = 0.5
    litellm_proxy_url: Annotated[
        str | None,
        Meta(description="A LiteLLM proxy to go through; with its key, and `model` if not nova-3."),
    ] = msgspec.field(name="LITELLM_PROXY_URL", default=None)
    litellm_master_key: Annotated[Secret | None, Meta(description="The key of the proxy.")] = (
        msgspec.field(name="LITELLM_MASTER_KEY", default=None)
    )


class DeepgramLink(TranscriptionLink):
    """Adds Deepgram's transcript of each recording that has none."""

    options: ClassVar[type[TranscriptionOptions]] = DeepgramOptions

    @classmethod
    def plan(cls, options: DeepgramOptions) -> Plan:
        """Ask Deepgram, or the proxy, which knows neither parameters nor confidence."""
        by_proxy = bool(options.litellm_proxy_url and options.litellm_master_key)
        model = options.model or options.api.get("model")
        return Plan(
            vendor="deepgram",
            provider="deepgram",
            transcriber=TranscriberOptions(
                account=Account(
                    api_key=options.api_key,
                    base_url=options.base_url,
                    litellm_proxy_url=options.litellm_proxy_url,
                    litellm_master_key=options.litellm_master_key,
                    timeout=options.provider_timeout,
                    concurrency=options.provider_concurrency,
                ),
                model=model,
                options={} if by_proxy else options.api,
            ),
            language=options.language,
            minimum_duration=options.minimum_duration,
            minimum_confidence=options.minimum_confidence,
            stated={
                "minimum_duration": options.minimum_duration,
                "minimum_confidence": options.minimum_confidence,
                "api": options.api,
            },
            text_only=by_proxy,
            portal=options.portal,
        )
