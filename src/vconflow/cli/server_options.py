"""The options of every command that talks to a running server."""

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypedDict, TypeVar, Unpack

import click

from vconflow.cli.startup import errors_shown
from vconflow.client import ATTEMPTS, DEFAULT_HEADER, Client
from vconflow.settings import check_names

__all__ = ["Server", "ServerOptions", "server_options"]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--url",
        envvar="VCONFLOW_URL",
        show_envvar=True,
        default="http://127.0.0.1:8000",
        show_default=True,
        help="The server. SSL_CERT_FILE names authorities of your own.",
    ),
    click.option("--token", envvar="CONSERVER_API_TOKEN", show_envvar=True, help="The API key."),
    click.option(
        "--header",
        envvar="CONSERVER_HEADER_NAME",
        default=DEFAULT_HEADER,
        show_default=True,
        help="The header of the API key.",
    ),
    click.option(
        "--attempts",
        type=click.IntRange(1),
        default=ATTEMPTS,
        show_default=True,
        help="How often to try anything while the server is busy or away.",
    ),
)


class ServerOptions(TypedDict):
    """The values of these options."""

    url: str
    token: str | None
    header: str
    attempts: int


class Server:
    """A server as the options name it, reached over at most `connections` connections."""

    def __init__(self, connections: int, **options: Unpack[ServerOptions]) -> None:
        with errors_shown():
            check_names(os.environ)
        self.connections = connections
        self._options = options

    def open(self) -> AbstractAsyncContextManager[Client]:
        """Open the client."""
        return Client.open(connections=self.connections, **self._options)


def server_options(command: CommandT) -> CommandT:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
