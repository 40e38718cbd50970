"""What the commands that need a configuration have in common."""

import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop

from vconflow import config
from vconflow.config import Config
from vconflow.errors import ConfigError, Problem, VconflowError
from vconflow.packages import missing, read_packages
from vconflow.settings import Settings, check_names
from vconflow.telemetry import log

__all__ = [
    "config_option",
    "errors_shown",
    "load_config",
    "load_settings",
    "run_server",
    "show_missing_packages",
    "show_warnings",
]

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file. Default: CONSERVER_CONFIG_FILE, else ./config.yml.",
)


def load_settings(data_dir: Path | None = None, *, quiet: bool = False) -> Settings:
    """Read the environment; `data_dir` goes before what that says. Raises ConfigError.

    When `quiet`, somebody else has said already what is to be said of it on stderr.
    """
    settings = Settings.load(os.environ)
    if not quiet:
        _show_doubts(settings)
    if data_dir is None:
        return settings
    return msgspec.structs.replace(settings, vconflow_data_dir=data_dir)


def _show_doubts(settings: Settings) -> None:
    if settings.egress_format_version:
        click.echo(
            "warning: EGRESS_FORMAT_VERSION is not built yet: vCons stay as they are", err=True
        )
    if settings.conserver_api_token_file is not None:
        _check_key_file(Path(settings.conserver_api_token_file))


def _check_key_file(path: Path) -> None:
    """Say on stderr that it cannot be read; it may come later, so that is no error."""
    try:
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = (
            f"{path} cannot be read: {reason}; unknown keys are answered with 503 until it can"
        )
        click.echo(f"warning: CONSERVER_API_TOKEN_FILE: {message}", err=True)


def load_config(path: Path) -> Config:
    """Read a configuration file. Raises ConfigError, for a bad environment too."""
    check_names(os.environ)
    if not path.exists():
        message = f"no configuration file {path}: name one with --config or CONSERVER_CONFIG_FILE"
        raise ConfigError([Problem((), message, "no_file")])
    return config.load(path, os.environ)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Turn what vconflow raises into lines on stderr and exit code 1."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        raise SystemExit(1) from None
    except VconflowError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


def show_warnings(loaded: Config) -> None:
    """Say on stderr what is ignored, not built yet or held."""
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


def show_missing_packages(path: Path) -> None:
    """Say on stderr which packages that the file names by `pip_name` are not installed."""
    for package in missing(read_packages(path, os.environ)):
        text = f"{package.shown} is not installed: run `vconflow install`"
        click.echo(f"warning: {package.place}: {text}", err=True)


def run_server(
    serving: Coroutine[Any, Any, int], settings: Settings, *, level: str, replica: str = ""
) -> int:
    """Run a server in this, the main thread, to its end; its exit code.

    `level` is of the log, whose lines say `replica`.
    """
    pretty = {"auto": None, "json": False, "pretty": True}[settings.vconflow_log_format]
    log.configure(level, pretty=pretty, replica=replica)
    return uvloop.run(serving)
