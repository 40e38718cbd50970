"""The sections `followers` and `imports`."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from vconflow import registry
from vconflow.config.conversion import convert_struct
from vconflow.config.findings import Findings, Loc
from vconflow.config.trust import Allowances
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


def read_imports(
    section: Mapping[str, Any], findings: Findings, allowed: Allowances | None = None
) -> dict[str, ImportConfig]:
    """Import every module that is named, in a mapping or by itself, if it is installed."""
    imports = {}
    for name, raw in section.items():
        loc = ("imports", name)
        keys = {"module": raw} if isinstance(raw, str) else raw
        found = convert_struct(ImportConfig, keys, loc, findings, closed=False)
        if found:
            imports[name] = found
            # One that is not allowed has been noted already.
            if allowed is None or found.module in allowed.modules:
                _import(found, loc, findings)
    return imports


def _import(wanted: ImportConfig, loc: Loc, findings: Findings) -> None:
    if not registry.is_installed(wanted.module):
        advice = ": run `vconflow install`" if wanted.pip_name else ""
        findings.warn(loc, f"{wanted.module} is not installed{advice}", "not_installed")
        return
    try:
        registry.import_foreign(wanted.module)
    except registry.RegistryError as error:
        findings.error(loc, str(error), "unusable_module")
