"""The command line. Every command is one file here; this one only names them."""

import importlib
from pathlib import Path

import click
from dotenv import load_dotenv

from vconflow import __version__

__all__ = ["main"]

_COMMANDS = {
    "chains": "chains",
    "check-config": "check_config",
    "dead-letters": "dead_letters",
    "demo": "demo",
    "events": "events",
    "install": "install",
    "migrate": "migrate",
    "reference": "reference",
    "serve": "serve",
    "submit": "submit",
}


class _Commands(click.Group):
    """Imports a command when it is asked for: `reference` needs no server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vconflow")
def main() -> None:
    """Carry conversations (vCons) through chains of links to storages, and lose none.

    A file .env in the working folder may hold environment variables.
    """
    load_dotenv(Path(".env"))
