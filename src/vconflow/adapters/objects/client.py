"""The client of one account: opened by the first request, one pool of connections."""

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import aioboto3
import aiobotocore.session
import botocore.session
from aiobotocore.config import AioConfig
from botocore.exceptions import NoCredentialsError
from botocore.loaders import Loader

from vconflow.adapters.objects.accounts import Account

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

__all__ = ["CONNECTIONS", "SharedClient"]

CONNECTIONS: Final = 64
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 60.0

for _name in ("aioboto3", "aiobotocore", "boto3", "botocore", "s3transfer"):
    # They log requests with their headers and signatures.
    logging.getLogger(_name).setLevel(logging.WARNING)


class SharedClient:
    """A client that is opened when it is first needed, so that vconflow starts without S3."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.users = 0
        self.knows_if_match = True
        """Whether the server compares versions; some that speak the protocol do not."""
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[S3Client] | None = None

    async def get(self) -> "S3Client":
        """Return the open client. Raises what the driver does."""
        opening = self._opening
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception())):
            self._opening = opening = asyncio.create_task(self._open())
            opening.add_done_callback(_look_at_error)
        # Whoever gives up does not stop it: others may wait for the same client.
        return await asyncio.shield(opening)

    async def close(self) -> None:
        """Close all connections."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._stack.aclose()

    async def _open(self) -> "S3Client":
        keys = self._keys()
        session = await asyncio.to_thread(_open_session, needs_keys=not keys)
        client = session.client(
            "s3",
            region_name=self.account.region,
            endpoint_url=self.account.endpoint_url,
            config=_config(self.account),
            **keys,
        )
        return await self._stack.enter_async_context(client)

    def _keys(self) -> dict[str, Any]:
        key_id, secret = self.account.access_key_id, self.account.secret_access_key
        if key_id is None or secret is None:
            return {}
        return {"aws_access_key_id": key_id.reveal(), "aws_secret_access_key": secret.reveal()}


def _open_session(*, needs_keys: bool) -> aioboto3.Session:
    """A session that has read from disk what it needs. Blocking; raises what the driver does."""
    core = aiobotocore.session.get_session()
    core.register_component("data_loader", _warm_loader())
    core.get_scoped_config()  # kept by the session, as what it finds in the next line
    # Looking for keys reads files and asks services, on a loop of its own.
    if needs_keys and asyncio.run(_keys_of_aws(core)) is None:
        raise NoCredentialsError
    return aioboto3.Session(botocore_session=core)


async def _keys_of_aws(session: aiobotocore.session.AioSession) -> object | None:
    found: object | None = await session.get_credentials()
    return found


@cache
def _warm_loader() -> Loader:
    """What the driver knows of S3: megabytes of JSON, the same for all accounts."""
    reader = botocore.session.Session()
    # The quickest way to have it read just what a client needs.
    reader.create_client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106  # no password, and never used
    )
    loader: Loader = reader.get_component("data_loader")
    return loader


def _config(account: Account) -> AioConfig:
    settings: dict[str, Any] = {}
    if account.endpoint_url:
        # Servers that only speak the protocol often know no checksums at the end of a body.
        settings["request_checksum_calculation"] = "when_required"
        settings["response_checksum_validation"] = "when_required"
    return AioConfig(
        signature_version="s3v4",
        # Whoever asks has retries of its own.
        retries={"total_max_attempts": 1},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        **settings,
    )


def _look_at_error(task: "asyncio.Task[S3Client]") -> None:
    # Everybody who waited for it may have given up by now; asyncio would complain.
    if not task.cancelled():
        task.exception()
