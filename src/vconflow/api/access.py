"""Who calls, and which keys are valid now."""

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vconflow.ports.access import AccessRules, ApiKey, PartnerKey, RateLimit, Role

__all__ = ["ANYONE", "NOBODY", "Caller", "KeyRing", "api_ring", "partner_rings"]


class Caller(NamedTuple):
    """Who holds the key of a request.

    `name` is `main`, `file:<fingerprint>`, a name of `api_keys`, or `partner:<name>`. A partner has
    no role. `lists` are the only ones that may be fed, None for all.
    """

    name: str
    role: Role | None
    lists: frozenset[str] | None = None
    rate_limit: RateLimit | None = None


ANYONE = Caller("", Role.ADMIN)
"""The caller while authentication is off."""
NOBODY = Caller("", None)
"""The caller before its key was checked."""

_SALT = secrets.token_bytes(16)


class KeyRing:
    """Finds whose key was given, in a time that tells nothing about the keys.

    Digests are compared, so that neither content nor length of a key matters, and all of them, so
    that it does not matter which one fits.
    """

    def __init__(self, keys: Iterable[tuple[str, Caller]]) -> None:
        self._keys = tuple(
            (_digest(spelling), caller) for key, caller in keys for spelling in _spellings(key)
        )

    def find(self, given: bytes) -> Caller | None:
        digest, found = _digest(given), None
        for known, caller in self._keys:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


def api_ring(fixed: Iterable[tuple[str, Caller]], keys: Iterable[ApiKey]) -> KeyRing:
    """The keys of the API: those of the process and those of the configuration."""
    named = ((k.key.reveal(), Caller(k.name, k.role, None, k.rate_limit)) for k in keys)
    return KeyRing([*named, *fixed])


def partner_rings(rules: AccessRules) -> Mapping[str, KeyRing]:
    """The keys of partners by list."""
    return {
        name: KeyRing((key.key.reveal(), _partner(name, key)) for key in keys)
        for name, keys in rules.partners.items()
    }


def _partner(list_name: str, key: PartnerKey) -> Caller:
    return Caller(f"partner:{key.name}", None, frozenset({list_name}), key.rate_limit)


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(_SALT + key).digest()


def _spellings(key: str) -> set[bytes]:
    """A key as clients put it into a header: as UTF-8, or as Latin-1 where that can hold it."""
    spellings = {key.encode()}
    with contextlib.suppress(UnicodeEncodeError):
        spellings.add(key.encode("latin-1"))
    return spellings
