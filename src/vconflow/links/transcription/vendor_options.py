"""`vendor_options` of the link `transcribe`: the options of every vendor, in every spelling."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from vconflow.ports.component import SECRET_URL, Secret
from vconflow.ports.urls import HttpUrlOrNothing

__all__ = ["VendorOptions"]

_SPELLINGS: Final = {
    "deepgram_key": "api_key",
    "openai_api_key": "api_key",
    "bare_api_key": "api_key",
    "api_url": "base_url",
    "openai_base_url": "base_url",
}
"""Fields that are further spellings of others."""


class VendorOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of the vendors' own links, all unset; each vendor takes those of its link.

    They are typed so that credentials among them are masked as everywhere.
    """

    api_key: Secret | None = None
    deepgram_key: Secret | None = msgspec.field(name="DEEPGRAM_KEY", default=None)
    openai_api_key: Secret | None = msgspec.field(name="OPENAI_API_KEY", default=None)
    bare_api_key: Secret | None = msgspec.field(name="API_KEY", default=None)
    base_url: str | None = None
    api_url: str | None = msgspec.field(name="API_URL", default=None)
    openai_base_url: str | None = msgspec.field(name="OPENAI_BASE_URL", default=None)
    model: str | None = None
    api: dict[str, Any] | None = None
    language: str | None = None
    minimum_duration: Annotated[float, Meta(ge=0)] | None = None
    minimum_confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    content_type: str | None = msgspec.field(name="Content-Type", default=None)
    organization: str | None = None
    project: str | None = None
    azure_api_key: Secret | None = msgspec.field(name="AZURE_OPENAI_API_KEY", default=None)
    azure_endpoint: str | None = msgspec.field(name="AZURE_OPENAI_ENDPOINT", default=None)
    azure_api_version: str | None = msgspec.field(name="AZURE_OPENAI_API_VERSION", default=None)
    litellm_proxy_url: str | None = msgspec.field(name="LITELLM_PROXY_URL", default=None)
    litellm_master_key: Secret | None = msgspec.field(name="LITELLM_MASTER_KEY", default=None)
    max_chunk_duration: Annotated[float, Meta(ge=10)] | None = None
    use_silence_chunking: bool | None = None
    silence_thresh: float | None = None
    silence_len: Annotated[float, Meta(gt=0)] | None = None
    send_ai_usage_data_to_url: Annotated[
        HttpUrlOrNothing | None, Meta(extra={SECRET_URL: True})
    ] = None
    ai_usage_api_token: Secret | None = None

    def given(self) -> list[tuple[str, str, Any]]:
        """What is set: the field of the vendor's link, the spelling used, and the value."""
        return [
            (_SPELLINGS.get(field.name, field.name), field.encode_name, value)
            for field in msgspec.structs.fields(self)
            if (value := getattr(self, field.name)) is not None
        ]
