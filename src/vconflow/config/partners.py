"""The sections `ingress_auth`, `followers` and `imports`."""

from collections.abc import Collection, Mapping
from typing import Any

from vconflow.config.conversion import convert_struct
from vconflow.config.findings import Findings, Loc
from vconflow.config.types import FollowerConfig, ImportConfig
from vconflow.ports.component import Secret

__all__ = ["read_followers", "read_imports", "read_ingress_auth"]


def read_ingress_auth(
    section: Mapping[str, Any], ingress_lists: Collection[str], findings: Findings
) -> dict[str, tuple[Secret, ...]]:
    """Read the partner keys of each list: one key or several."""
    keys = {}
    for name, raw in section.items():
        loc = ("ingress_auth", name)
        if name not in ingress_lists:
            findings.warn(loc, "no enabled chain has this ingress list", "unknown_list")
        given = raw if isinstance(raw, list) else [raw]
        keys[name] = tuple(
            Secret(key)
            for index, key in enumerate(given)
            if _is_key(key, (*loc, index) if given is raw else loc, findings)
        )
    return keys


def _is_key(key: Any, loc: Loc, findings: Findings) -> bool:
    if not isinstance(key, str):
        findings.error(loc, "expected a key as text: put it in quotes", "wrong_type")
    elif not key.strip():
        findings.error(loc, "an empty key would let everybody in", "empty")
    else:
        return True
    return False


def read_followers(section: Mapping[str, Any], findings: Findings) -> dict[str, FollowerConfig]:
    """Read every follower; this version checks them and does not run them."""
    followers = {}
    for name, raw in section.items():
        loc = ("followers", name)
        follower = convert_struct(FollowerConfig, raw, loc, findings, closed=False)
        if follower:
            findings.warn(loc, "followers are not built yet", "not_built")
            followers[name] = follower
    return followers


def read_imports(section: Mapping[str, Any], findings: Findings) -> dict[str, ImportConfig]:
    """Read every import, given as a mapping or as the bare name of a module."""
    imports = {}
    for name, raw in section.items():
        loc = ("imports", name)
        keys = {"module": raw} if isinstance(raw, str) else raw
        found = convert_struct(ImportConfig, keys, loc, findings, closed=False)
        if found:
            findings.warn(loc, "imports are not built yet", "not_built")
            imports[name] = found
    return imports
