"""The sections `followers` and `imports`."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from vconflow.config.conversion import convert_struct
from vconflow.config.findings import Findings, Loc
from vconflow.config.types import FollowerConfig, ImportConfig

__all__ = ["read_followers", "read_imports"]


def read_followers(
    section: Mapping[str, Any], ingress_lists: Collection[str], findings: Findings
) -> dict[str, FollowerConfig]:
    """Read every follower; one with an error is left out and noted."""
    followers = {}
    for name, raw in section.items():
        loc = ("followers", name)
        follower = convert_struct(FollowerConfig, raw, loc, findings, closed=False)
        if follower:
            _check_url(follower.url, (*loc, "url"), findings)
            if follower.follower_ingress_list not in ingress_lists:
                message = (
                    f"no enabled chain reads {follower.follower_ingress_list!r}: "
                    "nothing is followed until one does"
                )
                findings.warn((*loc, "follower_ingress_list"), message, "unknown_list")
            followers[name] = follower
    return followers


def _check_url(url: str, loc: Loc, findings: Findings) -> None:
    if not _is_address(url):
        message = "expected the address of the other server, such as https://host:8000/api"
        findings.error(loc, message, "bad_url")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_http and not parts.query and not parts.fragment


def read_imports(section: Mapping[str, Any], findings: Findings) -> dict[str, ImportConfig]:
    """Read every import, given as a mapping or as the bare name of a module."""
    imports = {}
    for name, raw in section.items():
        loc = ("imports", name)
        keys = {"module": raw} if isinstance(raw, str) else raw
        found = convert_struct(ImportConfig, keys, loc, findings, closed=False)
        if found:
            findings.warn(loc, "is not imported yet", "not_imported")
            imports[name] = found
    return imports
