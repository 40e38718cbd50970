"""The sections `api_keys` and `ingress_auth`: which keys open what."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from vconflow.config.conversion import convert_struct
from vconflow.config.findings import Findings, Loc, suggestion
from vconflow.config.types import Count, Positive
from vconflow.ports.access import AccessRules, ApiKey, PartnerKey, RateLimit, Role
from vconflow.ports.component import Secret

__all__ = [
    "API_KEY_KEYS",
    "PARTNER_KEYS",
    "ApiKeyKeys",
    "PartnerKeys",
    "RateKeys",
    "read_access",
]

API_KEY_KEYS = ("role", "rate_limit")
"""What may be shown of an API key."""
PARTNER_KEYS = ("name", "rate_limit")
"""What may be shown of a partner key."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ROLES = {role.name.lower(): role for role in Role}
_RESERVED = frozenset({"main"})

# Where each key stands, by its text.
Seen = dict[str, Loc]


class RateKeys(msgspec.Struct, frozen=True, kw_only=True):
    """How often a key may be used."""

    per_second: Annotated[Positive, Meta(description="Requests per second in the long run.")]
    burst: Annotated[
        Count | None, Meta(description="Requests at once. Default: those of one second.")
    ] = None


class ApiKeyKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What may be written about one key of the API."""

    key: Annotated[Secret, Meta(description="The key itself.")]
    role: Annotated[str, Meta(description="`read`, `write` or `admin`; each includes the former.")]
    rate_limit: Annotated[
        dict[str, Any] | None,
        Meta(description="See below; unset, `VCONFLOW_RATE_LIMIT` and `VCONFLOW_RATE_BURST`."),
    ] = None


class PartnerKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What may be written about one key of a partner."""

    name: Annotated[
        str, Meta(description="Owner of what the partner stores; stays when the key changes.")
    ]
    key: Annotated[Secret, Meta(description="The key itself.")]
    rate_limit: Annotated[
        dict[str, Any] | None,
        Meta(description="See below; unset, `VCONFLOW_RATE_LIMIT` and `VCONFLOW_RATE_BURST`."),
    ] = None


def read_access(
    api_keys: Mapping[str, Any],
    ingress_auth: Mapping[str, Any],
    ingress_lists: Collection[str],
    findings: Findings,
) -> AccessRules:
    """Read both sections; a key that would mean two things is an error."""
    seen: Seen = {}
    keys = tuple(_api_keys(api_keys, seen, findings))
    partners = {}
    for name, raw in ingress_auth.items():
        if name not in ingress_lists:
            message = "no enabled chain has this ingress list"
            findings.warn(("ingress_auth", name), message, "unknown_list")
        partners[name] = tuple(_partner_keys(name, raw, seen, findings))
    return AccessRules(keys, partners)


def _api_keys(section: Mapping[str, Any], seen: Seen, findings: Findings) -> Iterator[ApiKey]:
    for name, raw in section.items():
        loc: Loc = ("api_keys", name)
        if not _is_name(name, loc, findings):
            continue
        given = convert_struct(ApiKeyKeys, raw, loc, findings)
        if given is None or not _is_key(given.key.reveal(), (*loc, "key"), findings):
            continue
        _claim(given.key, (*loc, "key"), seen, findings)
        role = _ROLES.get(given.role)
        if role is None:
            # What was given is not shown: it may be the key, written into the wrong line.
            hint = suggestion(given.role, _ROLES)
            message = f"expected one of {', '.join(_ROLES)}{hint}"
            findings.error((*loc, "role"), message, "unknown_role")
            continue
        rate = _rate(given.rate_limit, loc, findings)
        yield ApiKey(name, given.key, role, rate)


def _partner_keys(list_name: str, raw: Any, seen: Seen, findings: Findings) -> Iterator[PartnerKey]:
    """Read one key or several, each a text or a mapping with a name."""
    given = raw if isinstance(raw, list) else [raw]
    here: set[str] = set()
    for index, item in enumerate(given):
        loc: Loc = ("ingress_auth", list_name)
        loc = (*loc, index) if given is raw else loc
        partner = _partner_key(item, loc, findings)
        if partner is None:
            continue
        key = partner.key.reveal()
        if key in here:
            findings.error(loc, "the same key stands in this list twice", "duplicate_key")
        elif seen.get(key, loc)[0] == "api_keys":
            _claim(partner.key, loc, seen, findings)
        here.add(key)
        yield partner


def _partner_key(item: Any, loc: Loc, findings: Findings) -> PartnerKey | None:
    if not isinstance(item, Mapping):
        if not _is_key(item, loc, findings):
            return None
        return PartnerKey(_fingerprint(item), Secret(item))
    given = convert_struct(PartnerKeys, item, loc, findings)
    if given is None or not _is_name(given.name, (*loc, "name"), findings):
        return None
    if not _is_key(given.key.reveal(), (*loc, "key"), findings):
        return None
    return PartnerKey(given.name, given.key, _rate(given.rate_limit, loc, findings))


def _rate(raw: Mapping[str, Any] | None, loc: Loc, findings: Findings) -> RateLimit | None:
    if raw is None:
        return None
    rate = convert_struct(RateKeys, raw, (*loc, "rate_limit"), findings)
    if rate is None:
        return None
    return RateLimit(rate.per_second, rate.burst or max(1, round(rate.per_second)))


def _is_name(name: Any, loc: Loc, findings: Findings) -> bool:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = "a name is 1 to 64 letters, digits, dots, hyphens and underscores"
        findings.error(loc, message, "bad_name")
    elif name in _RESERVED:
        findings.error(loc, "is the name of CONSERVER_API_TOKEN: take another", "reserved_name")
    else:
        return True
    return False


def _is_key(key: Any, loc: Loc, findings: Findings) -> bool:
    if not isinstance(key, str):
        findings.error(loc, "expected a key as text: put it in quotes", "wrong_type")
    elif not key.strip():
        findings.error(loc, "an empty key would let everybody in", "empty")
    elif key != key.strip():
        findings.error(loc, "a key cannot begin or end with blanks", "blanks")
    else:
        return True
    return False


def _claim(key: Secret, loc: Loc, seen: Seen, findings: Findings) -> None:
    """Note where a key stands, or that it stands somewhere else already."""
    other = seen.setdefault(key.reveal(), loc)
    if other != loc:
        place = ".".join(map(str, other))
        findings.error(loc, f"is the same key as {place}", "duplicate_key")


def _fingerprint(key: str) -> str:
    # Stable when keys are added or reordered, and too short to find the key by.
    digest = hashlib.blake2b(key.encode(), digest_size=4, person=b"vconflow")
    return f"key-{digest.hexdigest()}"
