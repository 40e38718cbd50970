"""The socket that clients connect to, and who may reach it."""

import contextlib
import ipaddress
import socket
from collections.abc import Iterator

from vconflow.config import Config
from vconflow.errors import ConfigError, Problem
from vconflow.settings import Settings

__all__ = ["BACKLOG", "check_auth", "listen", "needs_no_key", "url_of"]

BACKLOG = 2048


@contextlib.contextmanager
def listen(host: str, port: int, *, reuse_port: bool = False) -> Iterator[socket.socket]:
    """Listen until the context ends; port 0 takes a free one.

    With `reuse_port` others that say the same may listen on the same port: the kernel gives each
    new connection to one of them, for good. Raises `ConfigError` when it cannot be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if reuse_port:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((host, port))
        except OSError as error:
            message = f"cannot listen on {host}:{port}: {error.strerror}"
            place = "--host" if isinstance(error, socket.gaierror) else "--port"
            raise ConfigError([Problem((place,), message, "listen")]) from error
        listener.listen(BACKLOG)
        listener.setblocking(False)
        yield listener


def url_of(host: str, listener: socket.socket, settings: Settings) -> str:
    """Where clients find it."""
    scheme = "https" if settings.vconflow_tls_certfile else "http"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{listener.getsockname()[1]}"


def needs_no_key(settings: Settings, config: Config) -> bool:
    """Whether everybody who reaches the API may use it."""
    return not (
        settings.conserver_api_token or settings.conserver_api_token_file or config.access.api_keys
    )


def check_auth(settings: Settings, config: Config, host: str) -> None:
    """Raise ConfigError if everybody may use the API and others than this machine reach it."""
    if not needs_no_key(settings, config) or settings.vconflow_allow_open or _is_loopback(host):
        return
    message = (
        f"no API key is configured, and {host} can be reached by others: set "
        "CONSERVER_API_TOKEN, or VCONFLOW_ALLOW_OPEN=true if that is what you want"
    )
    raise ConfigError([Problem(("CONSERVER_API_TOKEN",), message, "auth")])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
