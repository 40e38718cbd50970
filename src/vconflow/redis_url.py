"""The address in `REDIS_URL`: a server, the Sentinels that know which one it is, or a cluster."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

__all__ = [
    "ClusterUrl",
    "SentinelUrl",
    "complaint_about",
    "parse_cluster_url",
    "parse_sentinel_url",
    "shown",
]

_PORT = 6379
_SENTINEL_PORT = 26379
_CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")
_SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
_SENTINEL_OPTIONS = {"sentinel_username", "sentinel_password"}
# The driver takes more, but most of it would undo what we tell it ourselves.
_SERVER_OPTIONS = {"client_name", "db", "password", "username"}
_TLS_OPTIONS = {
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_password",
}
_CERT_REQS = {"none", "optional", "required"}
# Drivers quote what they cannot read, and that may be a part of the password: our words never do.
_PLAIN_FORM = (
    "expected redis://[user:password@]host:port/db; write special characters of the password as %XX"
)
_OPTIONS_FORM = (
    f"expected no other options than {', '.join(sorted(_SERVER_OPTIONS))}, and for rediss:// "
    f"{', '.join(sorted(_TLS_OPTIONS))} ({', '.join(sorted(_CERT_REQS))} as ssl_cert_reqs)"
)
_SENTINEL_FORM = (
    "expected redis+sentinel://[user:password@]host:26379,host:26379/service[/db]"
    "[?sentinel_password=...]; write special characters of passwords as %XX"
)

_CLUSTER_FORM = (
    "expected redis+cluster://[user:password@]host:6379,host:6379; "
    "write special characters of the password as %XX"
)


class ClusterUrl(msgspec.Struct, frozen=True):
    """Some nodes of a cluster, which know the others. `tls` is spoken to all of them."""

    nodes: tuple[tuple[str, int], ...]
    tls: bool = False
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"ClusterUrl({self.shown})"

    @property
    def shown(self) -> str:
        """For people: without credentials."""
        return f"the cluster of {_places(self.nodes)}"


class SentinelUrl(msgspec.Struct, frozen=True):
    """Where the Sentinels are and what to ask them for. Credentials are those of the server;
    Sentinels may have their own. `tls` is spoken to both.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None

    def __repr__(self) -> str:
        return f"SentinelUrl({self.shown})"

    @property
    def shown(self) -> str:
        """For people: without credentials."""
        return f"{self.service!r} of the Sentinels {_places(self.sentinels)}"


def complaint_about(text: str) -> str | None:
    """What is wrong with the text as the address of a Redis; None when nothing is."""
    for parse, schemes, form in (
        (parse_sentinel_url, _SENTINEL_SCHEMES, _SENTINEL_FORM),
        (parse_cluster_url, _CLUSTER_SCHEMES, _CLUSTER_FORM),
    ):
        if text.startswith(tuple(f"{scheme}:" for scheme in schemes)):
            try:
                parse(text)
            except ValueError:
                return form
            return None
    if not _is_plain(text):
        return _PLAIN_FORM
    return None if _has_good_options(urlsplit(text)) else _OPTIONS_FORM


def parse_sentinel_url(text: str) -> SentinelUrl | None:
    """The parts of a Sentinel address; None for the address of a server. Raises ValueError."""
    found = _of_several(text, _SENTINEL_SCHEMES)
    if found is None:
        return None
    scheme, netloc, url = found
    username, password, places = _netloc(netloc)
    path = re.fullmatch(r"/([^/@]+)(?:/(\d*))?", url.path)
    if path is None or url.fragment:
        raise ValueError("no service name")
    options = _options(url)
    return SentinelUrl(
        sentinels=tuple(_place(place, _SENTINEL_PORT) for place in places),
        service=unquote(path[1]),
        database=int(path[2] or 0),
        tls=scheme.startswith("rediss"),
        username=username,
        password=password,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
    )


def parse_cluster_url(text: str) -> ClusterUrl | None:
    """The parts of a cluster's address; None for any other. Raises ValueError."""
    found = _of_several(text, _CLUSTER_SCHEMES)
    if found is None:
        return None
    scheme, netloc, url = found
    username, password, places = _netloc(netloc)
    # A cluster has one database.
    if url.path not in ("", "/", "/0") or url.query or url.fragment:
        raise ValueError("more than nodes")
    return ClusterUrl(
        nodes=tuple(_place(place, _PORT) for place in places),
        tls=scheme.startswith("rediss"),
        username=username,
        password=password,
    )


def shown(text: str) -> str:
    """The address for people: without credentials."""
    several = parse_sentinel_url(text) or parse_cluster_url(text)
    return several.shown if several else urlsplit(text).hostname or "a socket"


def _of_several(text: str, schemes: Sequence[str]) -> tuple[str, str, SplitResult] | None:
    """Scheme, netloc, and the rest behind some netloc, if it has one of these schemes.

    `urlsplit` takes no brackets behind a comma. Raises ValueError.
    """
    scheme, _, rest = text.partition(":")
    if scheme not in schemes:
        return None
    found = re.fullmatch("//([^/?#]+)(.*)", rest)
    if found is None:
        raise ValueError("no host")
    return scheme, found[1], urlsplit(f"//host{found[2]}")


def _netloc(netloc: str) -> tuple[str | None, str | None, list[str]]:
    """User, password and places."""
    user, _, places = netloc.rpartition("@")
    username, _, password = user.partition(":")
    return unquote(username) or None, unquote(password) or None, places.split(",")


def _is_plain(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    if url.scheme == "unix":
        return bool(url.path)
    # An @ further on stands behind a password that holds one of the characters /?#.
    is_whole = "@" not in f"{url.path}{url.query}{url.fragment}"
    is_database = re.fullmatch(r"(/\d*)?", url.path) is not None
    return url.scheme in ("redis", "rediss") and port != 0 and is_whole and is_database


def _has_good_options(url: SplitResult) -> bool:
    allowed = _SERVER_OPTIONS | (_TLS_OPTIONS if url.scheme == "rediss" else set())
    given = parse_qs(url.query, keep_blank_values=True)
    return (
        given.keys() <= allowed
        and all(text.isdecimal() for text in given.get("db", ()))
        and _CERT_REQS.issuperset(given.get("ssl_cert_reqs", ()))
    )


def _options(url: SplitResult) -> Mapping[str, str]:
    found = parse_qs(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    if not found.keys() <= _SENTINEL_OPTIONS or any("@" in name for name in found):
        raise ValueError("unknown option")
    return {name: values[-1] for name, values in found.items()}


def _place(text: str, port: int) -> tuple[str, int]:
    url = urlsplit(f"//{text}")
    if not url.hostname or url.port == 0:
        raise ValueError("no host")
    return url.hostname, url.port or port


def _places(places: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in places)
