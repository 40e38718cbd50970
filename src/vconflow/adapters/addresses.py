"""Which addresses a URL of a stranger may lead to.

Private ones would let the writer of a vCon reach what only this machine can. The address is
checked where the connection is made, so that neither a redirect nor a name that resolves
differently the second time (DNS rebinding) gets past.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import httpcore

from vconflow.errors import ConfigError, Problem

__all__ = ["Allowed", "GuardedBackend", "RefusedAddress"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOK_UPS: Final = 16
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # of protocols between carriers and customers
        "192.88.99.0/24",  # relays of 6to4, which is given up
        "::/96",  # IPv4 addresses, as the next two are
        "::ffff:0:0:0/96",
        "64:ff9b:1::/48",
        "3fff::/20",  # of examples
        "5f00::/16",  # of segments in routers
        "fec0::/10",  # of sites
    )
)
"""What `is_global` takes for public, in some versions of Python at least, and is not."""


class RefusedAddress(Exception):
    """The host is, or resolves to, an address that may not be fetched from."""


class Allowed:
    """Exceptions from the rule: networks as CIDR, single addresses, and names of hosts."""

    def __init__(self, exceptions: Iterable[str] = ()) -> None:
        """Raises ConfigError for what is neither a network nor a name."""
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        for text in exceptions:
            try:
                self._networks.append(ipaddress.ip_network(text, strict=False))
            except ValueError:
                if "/" in text or ":" in text:
                    message = f"{text!r} is neither a network such as 10.0.0.0/8 nor a host"
                    raise ConfigError([Problem(("VCONFLOW_FETCH_ALLOW",), message)]) from None
                self._hosts.add(_folded(text))

    def check(self, host: str, addresses: Sequence[str]) -> None:
        """Raise RefusedAddress unless all addresses of a host may be connected to."""
        if _folded(host) in self._hosts:
            return
        for text in addresses:
            address = _plain(ipaddress.ip_address(text.partition("%")[0]))
            if not (_is_public(address) or any(address in net for net in self._networks)):
                raise RefusedAddress(
                    f"{host} is at a private address; VCONFLOW_FETCH_ALLOW may list exceptions"
                )


def _folded(host: str) -> str:
    return host.lower().rstrip(".")


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one merely wraps."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    is_listed = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not address.is_multicast and not is_listed


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()
        # Names of strangers may take half a minute to fail: not in the few threads in which
        # everybody else reads files.
        self._threads = ThreadPoolExecutor(_LOOK_UPS, "look-up")

    def close(self) -> None:
        """Begin no more look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of which may be connected to; else raises RefusedAddress."""
        addresses = await _resolve(self._threads, host, port)
        self._allowed.check(host, addresses)
        return addresses

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve once, check, and connect to what was checked."""
        addresses = await self.resolve(host, port)
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise RefusedAddress("no URL leads to a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """Wait between retries of the pool, which makes none."""
        await asyncio.sleep(seconds)


async def _resolve(threads: ThreadPoolExecutor, host: str, port: int) -> list[str]:
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.get_running_loop().run_in_executor(threads, look_up)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the name cannot be resolved: {error}") from error
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
