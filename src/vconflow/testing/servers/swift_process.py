"""OpenStack Swift in one process; a program: `python swift_process.py FOLDER PORT`.

Run by its path and with nothing of vconflow in it: eventlet has to be there before everything else.
"""

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402  # after the patch, as all that follows
import os  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from eventlet import wsgi  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring.builder import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

BACKENDS = ("account", "container", "object")
PARTITIONS_POWER = 2

PROXY = """\
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = false
[filter:tempauth]
use = egg:swift#tempauth
{users}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
"""
PLAIN = ("catch_errors", "gatekeeper", "listing_formats", "slo")

BACKEND = """\
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
[app:main]
use = egg:swift#{name}
"""


class Cache:
    """What memcached is for Swift, without which every request asks for account and bucket anew."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._values: dict[str, tuple[float, str]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ["swift.cache"] = self
        return self._app(environ, start_response)

    def get(self, key: str, **_: Any) -> Any:
        until, text = self._values.get(key, (0.0, "null"))
        return json.loads(text) if time.monotonic() < until else None

    def set(self, key: str, value: Any, time: float = 0, **_: Any) -> None:
        self._values[key] = (_now() + (time or 60.0), json.dumps(value))

    def delete(self, key: str, **_: Any) -> None:
        self._values.pop(key, None)

    def incr(self, key: str, delta: int = 1, time: float = 0, **_: Any) -> int:
        value = int(self.get(key) or 0) + delta
        self.set(key, value, time=time)
        return value


_now = time.monotonic


def main() -> None:
    """Serve S3 on a loopback port, with everything below a folder."""
    folder, port, users = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    os.fsync = os.fdatasync = _no_sync
    os.environ["TZ"] = "UTC+0"
    time.tzset()
    public = _listen(port)
    listeners = {name: _listen(0) for name in BACKENDS}
    _write_files(folder, {name: it.getsockname()[1] for name, it in listeners.items()}, users)
    utils.set_swift_dir(str(folder))
    for name, listener in listeners.items():
        eventlet.spawn(_serve, listener, loadapp(str(folder / f"{name}.conf")))
    proxy = loadapp(str(folder / "proxy.conf"), allow_modify_pipeline=False)
    (folder / "pid").write_text(str(os.getpid()))
    _serve(public, Cache(proxy))


def _no_sync(fd: object) -> None:
    """No machine of a test loses its power."""


def _write_files(folder: Path, ports: dict[str, int], users: dict[str, str]) -> None:
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = test\n")
    for name, port in ports.items():
        device = folder / "devices" / name
        device.mkdir(parents=True, exist_ok=True)
        _write_ring(folder / f"{name}.ring.gz", name, port)
        (folder / f"{name}.conf").write_text(BACKEND.format(folder=folder, name=name))
    lines = [f"user_{key.replace(':', '_')} = {secret}" for key, secret in users.items()]
    proxy = PROXY.format(folder=folder, users="\n".join(lines))
    plain = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in PLAIN)
    (folder / "proxy.conf").write_text(proxy + plain)


def _write_ring(path: Path, device: str, port: int) -> None:
    place = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1"}
    builder = RingBuilder(PARTITIONS_POWER, 1, 1)
    builder.add_dev(
        {"region": 1, "zone": 1, "weight": 1.0, "device": device, "replication_port": port} | place
    )
    builder.rebalance(seed="1")
    builder.get_ring().save(str(path))


def _listen(port: int) -> socket.socket:
    listener: socket.socket = eventlet.listen(("127.0.0.1", port), backlog=1024)
    return listener


def _serve(listener: socket.socket, app: Any) -> None:
    # boto wants `ETag` spelled so.
    warnings.filterwarnings("ignore", message="capitalize_response_headers is disabled")
    wsgi.server(
        listener,
        app,
        utils.NullLogger(),
        protocol=SwiftHttpProtocol,
        capitalize_response_headers=False,
        log_output=False,
    )


if __name__ == "__main__":
    main()
