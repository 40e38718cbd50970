"""Options of all links that transcribe."""

from typing import Annotated

from msgspec import Meta

from vconflow.links.recordings.files import Limits
from vconflow.links.usage_portal import PortalAccess, PortalToken, PortalUrl
from vconflow.ports.component import Options
from vconflow.ports.providers import CallLimit

__all__ = ["ContentType", "MinimumDuration", "TranscriptionOptions"]

ContentType = Annotated[
    str,
    Meta(
        description="The media type of recordings of which neither the dialog nor the server "
        "says it."
    ),
]

MinimumDuration = Annotated[
    float,
    Meta(
        ge=0,
        description="Shorter recordings, in seconds, are skipped. The length is that of the "
        "dialog, else that of an uncompressed WAV; one of unknown length is transcribed.",
    ),
]


class TranscriptionOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How recordings are had, and how many calls are made at a time."""

    language: Annotated[
        str | None,
        Meta(description="ISO 639-1 code of what is spoken. Unset: the model finds out."),
    ] = None
    max_bytes: Annotated[int, Meta(ge=1, description="Larger recordings are refused.")] = 536870912
    media_types: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="What a recording may be by its dialog and by the server it is fetched "
            "from, as patterns; application/octet-stream always may.",
        ),
    ] = ("audio/*", "video/*")
    fetch_timeout: Annotated[
        float, Meta(gt=0, description="Seconds that fetching one recording may take.")
    ] = 120.0
    provider_timeout: Annotated[
        float, Meta(gt=0, description="Seconds that one call of the vendor may take.")
    ] = 600.0
    provider_concurrency: CallLimit = None
    concurrency: Annotated[
        int, Meta(ge=1, description="Recordings of one vCon that are transcribed at a time.")
    ] = 4
    provider_fetches: Annotated[
        bool,
        Meta(
            description="Let a vendor that can (deepgram) fetch recordings from their URLs itself, "
            "unless they have a content_hash, which we check; `max_bytes` does not hold then. "
            "Otherwise they are fetched here and uploaded."
        ),
    ] = False
    send_ai_usage_data_to_url: PortalUrl = ""
    ai_usage_api_token: PortalToken = None

    @property
    def portal(self) -> PortalAccess:
        """Where to report what was used."""
        return PortalAccess(self.send_ai_usage_data_to_url, self.ai_usage_api_token)

    @property
    def limits(self) -> Limits:
        """What may be fetched."""
        return Limits(self.max_bytes, self.media_types, self.fetch_timeout)
