"""Which accounts are in use: one client each, however many storages and links use it."""

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from vconflow.errors import Permanent
from vconflow.ports.component import Secret
from vconflow.ports.objects import Bucket, BucketAccess

if TYPE_CHECKING:
    from vconflow.adapters.objects.client import SharedClient

__all__ = ["Account", "S3Objects"]


class Account(NamedTuple):
    """Whoever asks a server for something."""

    access_key_id: Secret | None
    secret_access_key: Secret | None
    region: str
    endpoint_url: str | None


class S3Objects:
    """Opens buckets; the client of an account is open as long as one of its buckets is."""

    def __init__(self) -> None:
        self._clients: dict[Account, SharedClient] = {}

    @asynccontextmanager
    async def bucket(self, access: BucketAccess) -> AsyncIterator[Bucket]:
        if importlib.util.find_spec("aioboto3") is None:
            raise Permanent("needs the extra 's3': pip install 'vconflow[s3]'")
        # Half a second of reading Python files, the first time.
        await asyncio.to_thread(importlib.import_module, "vconflow.adapters.objects.bucket")
        from vconflow.adapters.objects.bucket import S3Bucket

        client = self._enter(_account_of(access))
        try:
            yield S3Bucket(access, client)
        finally:
            await self._leave(client)

    @property
    def accounts(self) -> int:
        """How many accounts are in use."""
        return len(self._clients)

    def _enter(self, account: Account) -> "SharedClient":
        from vconflow.adapters.objects.client import SharedClient

        client = self._clients.setdefault(account, SharedClient(account))
        client.users += 1
        return client

    async def _leave(self, client: "SharedClient") -> None:
        client.users -= 1
        if not client.users:
            del self._clients[client.account]
            await client.close()


def _account_of(access: BucketAccess) -> Account:
    return Account(
        access.access_key_id, access.secret_access_key, access.region, access.endpoint_url
    )
