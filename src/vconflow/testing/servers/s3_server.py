"""S3: OpenStack Swift with its middleware s3api, which checks signatures as Amazon does."""

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from vconflow.ports.component import Secret
from vconflow.ports.objects import BucketAccess
from vconflow.testing.servers import process

__all__ = ["S3Server", "s3"]

KEYS: Final[Mapping[str, str]] = {
    # In the account `test`; the second may do nothing there until a bucket is opened to it.
    "test:owner": "secret-of-the-owner",
    "test:stranger": "secret-of-the-stranger",
}


class S3Server(process.Server):
    """An S3 on a loopback port, in one process of 150 MB."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._port = process.free_port()
        self._session: Any = None
        self.url = f"http://127.0.0.1:{self._port}"

    def access(self, bucket: str, *, key: str = "test:owner", port: int = 0) -> BucketAccess:
        """What opens a bucket of this server, by way of another port if one is named."""
        url = f"http://127.0.0.1:{port or self._port}"
        return BucketAccess(bucket, Secret(key), Secret(KEYS[key]), endpoint_url=url)

    async def make_bucket(self, name: str) -> BucketAccess:
        """Make an empty bucket."""
        access = self.access(name)
        async with self.client() as client:
            await client.create_bucket(Bucket=name)
        return access

    def client(self, key: str = "test:owner") -> Any:
        """A client of the driver, for what only it can do; a context."""
        import aioboto3  # half a second, for those tests that need it

        if self._session is None:
            self._session = aioboto3.Session()
        return self._session.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=KEYS[key],
        )

    def command(self) -> list[str]:
        users = {
            key: secret if "stranger" in key else f"{secret} .admin" for key, secret in KEYS.items()
        }
        # By its path: it has to begin with a patch of the standard library.
        program = [
            sys.executable,
            "-W",
            "ignore",
            str(Path(__file__).with_name("swift_process.py")),
        ]
        return [*program, str(self.path), str(self._port), json.dumps(users)]

    async def answers(self) -> bool:
        """Ask its file: on the port may be anybody."""
        pid = self.path / "pid"
        return pid.exists() and pid.read_text() == str(self.pid)


@asynccontextmanager
async def s3(path: Path) -> AsyncIterator[S3Server]:
    """An S3 with its data in `path`; running while the context is."""
    async with S3Server(path).running() as server:
        yield server
