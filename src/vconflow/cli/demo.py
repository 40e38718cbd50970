"""`vconflow demo`: a server that is fed the sample conversations, and shows what became of them."""

import os
from pathlib import Path

import click
import msgspec

from vconflow.cli.demo_run import DemoRun
from vconflow.cli.startup import errors_shown, load_config, load_settings, run_server
from vconflow.server.process import serve

__all__ = ["command"]

SAMPLES = Path(__file__).parents[1] / "samples"
HOST = "127.0.0.1"


@click.command(short_help="Serve with sample conversations.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of everything that is kept. Default: VCONFLOW_DATA_DIR, else ./data.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port; 0 takes a free one. Default: VCONFLOW_PORT, else 8000.",
)
def command(data_dir: Path | None, port: int | None) -> None:
    """Serve a sample configuration, send it sample conversations, and go on until Ctrl-C.

    Everything stays in the data folder: a second run starts on what the first one left. REDIS_URL
    does not matter here, the demo never writes to a Redis of yours.
    """
    with errors_shown():
        settings = msgspec.structs.replace(load_settings(data_dir), redis_url=None)
        config = load_config(SAMPLES / "config.yml")
        run = DemoRun(SAMPLES, settings)
        serving = serve(
            config,
            settings,
            host=HOST,
            port=settings.vconflow_port if port is None else port,
            data_dir=settings.vconflow_data_dir,
            on_ready=run,
        )
        # The terminal is for what the demo shows, unless more is asked for.
        level = settings.log_level if "LOG_LEVEL" in os.environ else "ERROR"
        code = run_server(serving, settings, level=level)
    raise SystemExit(code)
