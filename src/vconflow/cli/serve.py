"""`vconflow serve`: the server."""

import gc
import signal
from pathlib import Path

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
from vconflow.server import Running, serve

__all__ = ["announce", "command"]

_NEW_OBJECTS = 10_000


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
def command(
    config_file: Path | None, host: str | None, port: int | None, data_dir: Path | None
) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way and end with 0.

    Redis is the one of REDIS_URL. Without that variable a private Valkey runs in the data folder.
    """
    # By default it ends the process. The file is read after this, and watched once all is open.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with errors_shown():
        settings = load_settings(data_dir)
        file = config_file or settings.conserver_config_file
        config = load_config(file)
        show_warnings(config)
        show_missing_packages(file)
        serving = serve(
            config,
            settings,
            host=settings.vconflow_host if host is None else host,
            port=settings.vconflow_port if port is None else port,
            data_dir=settings.vconflow_data_dir,
            config_file=file,
            on_ready=_ready,
        )
        code = run_server(serving, settings, level=settings.log_level)
    raise SystemExit(code)


async def _ready(running: Running) -> None:
    # What is there now stays: the garbage collector need not look at it again and again. A vCon on
    # its way leaves no circles behind, so that it need not look often either.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    await announce(running)


async def announce(running: Running) -> None:
    """Print the one line that says where the server is; scripts wait for it."""
    click.echo(f"vconflow ready on {running.url}")
