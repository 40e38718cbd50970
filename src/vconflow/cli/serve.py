"""`vconflow serve`: the server."""

from pathlib import Path

import click

from vconflow.cli.startup import (
    errors_shown,
    load_config,
    load_settings,
    run_server,
    show_missing_packages,
    show_warnings,
)
from vconflow.server import Running, serve

__all__ = ["announce", "command"]


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file. Default: CONSERVER_CONFIG_FILE, else ./config.yml.",
)
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
            on_ready=announce,
        )
        code = run_server(serving, settings, level=settings.log_level)
    raise SystemExit(code)


async def announce(running: Running) -> None:
    """Print the one line that says where the server is; scripts wait for it."""
    click.echo(f"vconflow ready on {running.url}")
