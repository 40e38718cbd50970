"""A server that has a supervisor: it is given a socket to listen on, and a channel."""

import socket
from pathlib import Path

from vconflow.config import Config
from vconflow.errors import Unavailable
from vconflow.replicas.channel import open_channel
from vconflow.replicas.crew import METRICS_SECONDS
from vconflow.replicas.metrics import merged
from vconflow.server.garbage import keep_what_is_there
from vconflow.server.process import Membership, serve
from vconflow.server.running import Running
from vconflow.settings import Settings
from vconflow.telemetry.metrics import own_metrics

__all__ = ["serve_member"]


async def serve_member(
    config: Config,
    settings: Settings,
    *,
    listener: int,
    channel: int,
    host: str,
    data_dir: Path,
    config_file: Path,
) -> int:
    """Serve until the supervisor says otherwise; the exit code.

    `listener` and `channel` are descriptors that the supervisor left open for this process.
    """
    async with open_channel(_inherited(channel), own_metrics) as supervisor:

        async def ready(_running: Running) -> None:
            keep_what_is_there()
            supervisor.say_ready()

        async def metrics() -> bytes:
            try:
                # Longer than it waits for the slowest of all.
                return await supervisor.ask_metrics(METRICS_SECONDS + 1)
            except Unavailable:
                return merged({settings.vconflow_replica: await own_metrics()})

        return await serve(
            config,
            settings,
            host=host,
            port=0,
            data_dir=data_dir,
            config_file=config_file,
            on_ready=ready,
            member=Membership(_inherited(listener), supervisor.leave, metrics),
        )


def _inherited(descriptor: int) -> socket.socket:
    """The socket, which processes that components start do not inherit."""
    found = socket.socket(fileno=descriptor)
    found.set_inheritable(False)
    return found
