"""Starting one replica: a process that is told where to listen, and a channel to it."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vconflow.adapters.parent_death import tied_to_us
from vconflow.replicas.channel import Channel, Metrics, open_channel

__all__ = ["Launch", "RunningReplica", "launched"]


@dataclass(frozen=True)
class Launch:
    """What all replicas have in common. `name` is what theirs begin with."""

    name: str
    listener: socket.socket
    host: str
    data_dir: Path
    config_file: Path
    redis_url: str

    def command(self, channel: int) -> list[str]:
        """The command line of a replica; `channel` is the descriptor of its end."""
        # `python -m` looks for modules in the working folder, the script `vconflow` does not.
        here = () if sys.path[:1] in ([""], [str(Path.cwd())]) else ("-P",)
        options = {
            "--config": str(self.config_file),
            "--host": self.host,
            "--data-dir": str(self.data_dir),
        }
        given = [text for option in options.items() for text in option]
        member = ("--member", str(self.listener.fileno()), str(channel))
        return [sys.executable, *here, "-m", "vconflow", "serve", *given, *member]

    def environment(self, name: str) -> Mapping[str, str]:
        """The variables of a replica."""
        return os.environ | {"VCONFLOW_REPLICA": name, "REDIS_URL": self.redis_url}


@dataclass(frozen=True)
class RunningReplica:
    """One process of a replica."""

    process: asyncio.subprocess.Process
    channel: Channel


@asynccontextmanager
async def launched(launch: Launch, name: str, metrics: Metrics) -> AsyncIterator[RunningReplica]:
    """Start a replica, which is killed at the end if it still runs. Raises OSError.

    `metrics` are what it is told when it asks for those of all.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # Killed with us rather than asked to stop: it would go on listening on the port, and its
        # Redis may be gone with us.
        command = tied_to_us(launch.command(theirs.fileno()), signal.SIGKILL)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(launch.listener.fileno(), theirs.fileno()),
            env=launch.environment(name),
            # Ctrl-C in a terminal is for the supervisor, which asks all to stop.
            start_new_session=True,
        )
        theirs.close()
        try:
            async with open_channel(ours, metrics) as channel:
                yield RunningReplica(process, channel)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
