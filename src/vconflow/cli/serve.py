"""`vconflow serve`: the server, or several of them on one port."""

import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypedDict, Unpack

import click

from vconflow.cli.startup import (
    config_option,
    errors_shown,
    load_config,
    load_settings,
    run_server,
    show_missing_packages,
    show_warnings,
)
from vconflow.config import Config
from vconflow.server.garbage import keep_what_is_there, pause_until_ready
from vconflow.server.running import Running
from vconflow.settings import Settings

__all__ = ["announce", "command"]


class _Place(TypedDict):
    host: str
    data_dir: Path
    config_file: Path


@click.command(short_help="Run the server.")
@config_option
@click.option("--host", help="The address to listen on. Default: VCONFLOW_HOST, else 127.0.0.1.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port; 0 takes a free one. Default: VCONFLOW_PORT, else 8000.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the embedded Valkey. Default: VCONFLOW_DATA_DIR, else ./data.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1),
    help="So many processes on the one port. Default: CONSERVER_WORKERS, else 1.",
)
@click.option("--member", nargs=2, type=int, hidden=True)
def command(
    config_file: Path | None,
    host: str | None,
    port: int | None,
    data_dir: Path | None,
    replicas: int | None,
    member: tuple[int, int] | None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way and end with 0.

    Redis is the one of REDIS_URL. Without that variable a private Valkey runs in the data folder.

    With several replicas, each that ends is started again; SIGTTIN adds one, SIGTTOU removes
    one.
    """
    pause_until_ready()
    # By default it ends the process. The file is read after this, and watched once all is open.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with errors_shown():
        settings = load_settings(data_dir, quiet=bool(member))
        file = config_file or settings.conserver_config_file
        config = load_config(file)
        place: _Place = {
            "host": settings.vconflow_host if host is None else host,
            "data_dir": settings.vconflow_data_dir,
            "config_file": file,
        }
        name = ""
        if member:
            name = settings.vconflow_replica
            serving = _as_member(config, settings, member, **place)
        else:
            show_warnings(config)
            show_missing_packages(file)
            port = settings.vconflow_port if port is None else port
            wanted = replicas or settings.conserver_workers
            serving = _all(config, settings, wanted, port, **place)
        code = run_server(serving, settings, level=settings.log_level, replica=name)
    raise SystemExit(code)


def _all(
    config: Config, settings: Settings, wanted: int, port: int, **place: Unpack[_Place]
) -> Coroutine[Any, Any, int]:
    # What is not run is not imported: a supervisor takes two thirds of the memory of a server.
    if wanted > 1:
        from vconflow.replicas.supervisor import supervise

        return supervise(config, settings, wanted=wanted, port=port, on_ready=_ready, **place)
    from vconflow.server.process import serve

    return serve(config, settings, port=port, on_ready=_ready, **place)


def _as_member(
    config: Config, settings: Settings, member: tuple[int, int], **place: Unpack[_Place]
) -> Coroutine[Any, Any, int]:
    from vconflow.replicas.member import serve_member

    listener, channel = member
    return serve_member(config, settings, listener=listener, channel=channel, **place)


async def _ready(running: Running) -> None:
    keep_what_is_there()
    await announce(running)


async def announce(running: Running) -> None:
    """Print the one line that says where the server is; scripts wait for it."""
    click.echo(f"vconflow ready on {running.url}")
