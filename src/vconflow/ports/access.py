"""Who may do what: keys, what each opens, and how often it may be used."""

import enum
from collections.abc import Mapping

import msgspec

from vconflow.ports.component import Secret

__all__ = ["AccessRules", "ApiKey", "PartnerKey", "RateLimit", "Role"]


class Role(enum.IntEnum):
    """What a key may do; each role includes those below it."""

    READ = 1
    """Read vCons, lists and dead letters."""
    WRITE = 2
    """Store, replace, hand on, fetch and delete vCons."""
    ADMIN = 3
    """Everything."""


class RateLimit(msgspec.Struct, frozen=True):
    """So many requests per second in the long run, and `burst` at once."""

    per_second: float
    burst: int


class ApiKey(msgspec.Struct, frozen=True):
    """A named key of the section `api_keys`; without `rate_limit` that of the process counts."""

    name: str
    key: Secret
    role: Role
    rate_limit: RateLimit | None = None


class PartnerKey(msgspec.Struct, frozen=True):
    """A key that may do nothing but feed one list; `name` is stable and no secret."""

    name: str
    key: Secret
    rate_limit: RateLimit | None = None


class AccessRules(msgspec.Struct, frozen=True):
    """What the configuration says about keys: those of the API, and per list those of partners."""

    api_keys: tuple[ApiKey, ...] = ()
    partners: Mapping[str, tuple[PartnerKey, ...]] = {}
