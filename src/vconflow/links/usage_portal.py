"""The portal that links tell what they used, by `send_ai_usage_data_to_url` of the reference."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, NamedTuple, Self

import msgspec
from msgspec import Meta

from vconflow.errors import Permanent, Retryable
from vconflow.model.dates import rfc3339
from vconflow.ports.clock import Clock
from vconflow.ports.component import SECRET_URL, Resources, Secret
from vconflow.ports.http import HttpSender
from vconflow.ports.urls import HttpUrlOrNothing
from vconflow.ports.usage import Usage

__all__ = ["PortalAccess", "PortalToken", "PortalUrl", "UsagePortal"]

PortalUrl = Annotated[
    HttpUrlOrNothing,
    Meta(
        description="Where the tokens or seconds of each analysis are reported, once and at best "
        "effort.",
        extra={SECRET_URL: True},
    ),
]
PortalToken = Annotated[Secret | None, Meta(description="Sent there as `Authorization: Bearer`.")]

_SECONDS = 30.0


class PortalAccess(NamedTuple):
    """Where the portal is, empty for nowhere, and who reports."""

    url: str = ""
    token: Secret | None = None


@dataclass(frozen=True)
class UsagePortal:
    """Where the reference reports what was used, by `send_ai_usage_data_to_url`."""

    url: str
    token: Secret
    http: HttpSender
    clock: Clock

    @classmethod
    def of(cls, access: PortalAccess, resources: Resources) -> Self | None:
        """The portal, if there is one."""
        if not access.url:
            return None
        return cls(access.url, access.token or Secret(""), resources.http, resources.clock)

    async def tell(self, uuid: str, sub_type: str, usage: Usage) -> None:
        """Report the calls of one analysis: their tokens, or the seconds of a recording.

        That it fails is no reason to pay for them again.
        """
        tokens = usage.input_tokens or usage.output_tokens or not usage.audio_seconds
        report = {
            "created_at": rfc3339(datetime.fromtimestamp(self.clock.now(), UTC)),
            "record_id": uuid,
            "type": "VCON_PROCESSING",
            "sub_type": sub_type,
            "unit_type": "tokens" if tokens else "seconds",
            "input_units": usage.input_tokens if tokens else round(usage.audio_seconds),
            "output_units": usage.output_tokens,
            "ai_model": usage.model,
        }
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self.token.reveal()}",
        }
        with contextlib.suppress(Retryable, Permanent):
            await self.http.post(
                self.url, content=msgspec.json.encode(report), headers=headers, timeout=_SECONDS
            )
