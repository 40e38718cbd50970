"""Webhook: POST the vCon to every configured URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.ports.webhooks import PostOptions, Webhooks

__all__ = ["WebhookLink", "WebhookOptions"]


class WebhookOptions(PostOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `webhook`."""


class WebhookLink:
    """Posts the vCon's bytes as JSON; any answer but 2xx is a failure.

    When one URL fails, the next attempt posts to all of them again: `Idempotency-Key` stays the
    same for that.
    """

    options: ClassVar[type[Options]] = WebhookOptions

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    @classmethod
    @asynccontextmanager
    async def open(cls, options: WebhookOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the link on the shared HTTP client."""
        yield cls(Webhooks(options, resources.http))

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Post the vCon. Raises Retryable when not all URLs took it."""
        await self._webhooks.post(vcon.to_bytes(), run.idempotency_key)
        return CONTINUE
