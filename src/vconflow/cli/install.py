"""`vconflow install`: the packages that the configuration file names."""

import os
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from vconflow.cli.startup import config_option, errors_shown, load_settings
from vconflow.errors import ConfigError, Problem
from vconflow.packages import Lock, install, read_lock, read_packages, resolve, write_lock
from vconflow.telemetry import events

__all__ = ["command"]


@click.command(short_help="Install packages named by pip_name.")
@config_option
@click.option("--upgrade", is_flag=True, help="Resolve anew although there is a lock that fits.")
def command(config_file: Path | None, upgrade: bool) -> None:
    """Install the packages that the configuration file names by `pip_name`.

    What is found is pinned in a file beside the configuration, <name>.packages.json: the next time
    the very same files are installed. Needs VCONFLOW_ALLOW_INSTALL=true.
    """
    with errors_shown():
        settings = load_settings()
        if not settings.vconflow_allow_install:
            message = "set it to true to let packages of third parties be installed"
            raise ConfigError([Problem(("VCONFLOW_ALLOW_INSTALL",), message, "forbidden")])
        file = config_file or settings.conserver_config_file
        packages = read_packages(file, os.environ)
        if not packages:
            click.echo(f"{file} names no packages (pip_name)")
            return
        lock_file = file.with_name(f"{file.stem}.packages.json")
        lock = None if upgrade else read_lock(lock_file, packages)
        if lock is None:
            click.echo(f"resolving {', '.join(package.shown for package in packages)}")
            lock = resolve(packages)
        install(lock, packages)
        write_lock(lock_file, lock)
        _report(lock)
        click.echo(f"pinned in {lock_file}")


def _report(lock: Lock) -> None:
    table = Table("Package", "Version", "From")
    for pin in lock.pins:
        source = f"commit {pin.commit[:12]}" if pin.commit else "index"
        events.package_installed(pin.name, pin.version, source)
        table.add_row(pin.name, pin.version, source)
    Console().print(table)
