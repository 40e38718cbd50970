"""Webhook storage: every finished vCon is POSTed to all configured URLs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Self

from msgspec import Meta

from vconflow.errors import PartialFailure, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.webhooks import PostOptions, Webhooks

__all__ = ["WebhookStorage", "WebhookStorageOptions"]


class WebhookStorageOptions(PostOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `webhook`."""

    concurrency: Annotated[
        int, Meta(ge=1, description="How many vCons are posted at the same time.")
    ] = 16


class WebhookStorage:
    """Posts each vCon's bytes as JSON, those of a batch at the same time; only a 2xx counts.

    When one URL fails, the next attempt posts that vCon to all of them again: `Idempotency-Key`,
    which names storage, vCon and revision, stays the same for that.
    """

    options: ClassVar[type[Options]] = WebhookStorageOptions
    readable: ClassVar[bool] = False

    def __init__(self, name: str, webhooks: Webhooks, concurrency: int) -> None:
        self._name = name
        self._webhooks = webhooks
        self._slots = asyncio.Semaphore(concurrency)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: WebhookStorageOptions, resources: Resources
    ) -> AsyncIterator[Self]:
        """Open the storage on the shared HTTP client."""
        webhooks = Webhooks(options, resources.http)
        yield cls(resources.name, webhooks, options.concurrency)

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Post every vCon of the batch. Raises PartialFailure for those that were not taken."""
        results = await asyncio.gather(*map(self._post, vcons))
        failures = {
            vcon.uuid: failure
            for vcon, failure in zip(vcons, results, strict=True)
            if failure is not None
        }
        if failures:
            raise PartialFailure(failures)

    async def delete(self, uuid: str) -> bool:
        """Leave what was posted to its receivers: there is no copy that could be removed here."""
        return False

    async def ping(self) -> None:
        """Return at once: only a vCon that is posted shows whether it is taken."""

    async def _post(self, vcon: StoredVcon) -> Exception | None:
        async with self._slots:
            try:
                await self._webhooks.post(vcon.document, f"{self._name}:{vcon.uuid}:{vcon.rev}")
            except Retryable as failure:
                return failure
        return None
