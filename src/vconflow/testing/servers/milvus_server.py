"""Milvus: the genuine server of the wheel `milvus`, all of its parts in one process."""

import asyncio
import json
import lzma
import signal
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from vconflow.testing.servers.process import Server, free_port

__all__ = ["MilvusServer", "milvus"]

_HEALTH_SECONDS: Final = 1.0
_QUICKER: Final = {
    # Reads that see every write wait for the next tick, loading for the next look at it.
    "proxy.timeTickInterval": 20,
    "queryCoord.checkInterval": 100,
    "queryCoord.distPullInterval": 50,
    "proxy.ip": "127.0.0.1",
    "log.level": "warn",
    # So long the parts of a server that was killed count as running.
    "common.session.ttl": 5,
}


class MilvusServer(Server):
    """A Milvus on a loopback port, without authentication; `url` is what clients are given."""

    stop_signal = signal.SIGKILL  # it takes half a minute to stop when it is asked

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._etcd = (free_port(), free_port())
        self._metrics = free_port()

    async def prepare(self) -> None:
        if not (self.path / "bin").exists():
            await asyncio.to_thread(self._unpack)
            await asyncio.to_thread(self._configure)

    def command(self) -> list[str]:
        return [
            "/usr/bin/env",
            "DEPLOY_MODE=STANDALONE",
            f"METRICS_PORT={self._metrics}",
            f"MILVUS_RUN_DIR={self.path / 'run'}",
            f"LD_LIBRARY_PATH={self.path / 'bin'}",
            f"ETCD_CONFIG_PATH={self.path / 'etcd.json'}",
            str(self.path / "bin" / "milvus"),
            "run",
            "standalone",
        ]

    async def answers(self) -> bool:
        return await asyncio.to_thread(self._is_healthy)

    def _is_healthy(self) -> bool:
        url = f"http://127.0.0.1:{self._metrics}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=_HEALTH_SECONDS) as answer:
                return b"OK" in answer.read()
        except OSError:
            return False

    def _unpack(self) -> None:
        """The programs lie in the wheel compressed: a quarter of a gigabyte."""
        target = self.path / "bin"
        target.mkdir()
        for packed in sorted((_package() / "data" / "bin").glob("*.lzma")):
            file = target / packed.stem
            file.write_bytes(lzma.decompress(packed.read_bytes()))
            file.chmod(0o755)

    def _configure(self) -> None:
        from milvus import MilvusServerConfig

        configs = MilvusServerConfig(data_dir=str(self.path), proxy_port=self.port)
        ports = [name for name in configs.configurable_items if name.endswith("_port")]
        configs.update(**{name: free_port() for name in ports if name != "proxy_port"})
        configs.update(etcd_port=self._etcd[0])
        for name, value in _QUICKER.items():
            configs.set(name, value)
        configs.resolve()
        client, peer = (f"http://127.0.0.1:{port}" for port in self._etcd)
        etcd = {
            "name": "default",
            "data-dir": str(self.path / "data" / "etcd"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "log.level": "warn",
            # So long the parts of a server that was killed count as running.
            "common.session.ttl": 5,
            "unsafe-no-fsync": True,
        }
        (self.path / "etcd.json").write_text(json.dumps(etcd))


@asynccontextmanager
async def milvus() -> AsyncIterator[MilvusServer]:
    """A Milvus with an empty data folder of its own, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="vcf-milvus-", ignore_cleanup_errors=True) as folder:
        async with MilvusServer(Path(folder)).running() as server:
            yield server


def _package() -> Path:
    spec = find_spec("milvus")
    if spec is None or spec.origin is None:
        raise RuntimeError("no Milvus: the wheel `milvus` is for Linux on x86-64 only")
    return Path(spec.origin).parent
