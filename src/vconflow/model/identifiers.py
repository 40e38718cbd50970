"""UUIDs: the one spelling used as a key, and new ones as the vCon draft makes them."""

import hashlib
import re
import secrets
import threading
import time
from functools import lru_cache

__all__ = ["canonical_uuid", "new_uuid", "uuid_time"]

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BARE = re.compile(r"[0-9a-f]{32}")
_LOW_62 = (1 << 62) - 1
_EARLIEST, _LATEST = 946_684_800.0, 4_102_444_800.0  # the years 2000 and 2100


def canonical_uuid(text: str) -> str:
    """Return the lower-case hyphenated form of a UUID of any version.

    Upper case, `urn:uuid:` and the form without hyphens are understood. Raises ValueError, which
    does not quote the text.
    """
    if _CANONICAL.fullmatch(text):
        return text
    lowered = text.lower().removeprefix("urn:uuid:")
    if _CANONICAL.fullmatch(lowered):
        return lowered
    if _BARE.fullmatch(lowered):
        return _hyphenated(lowered)
    raise ValueError("not a UUID")


def uuid_time(canonical: str) -> float | None:
    """Return the Unix seconds that a version 7 or 8 UUID carries, None if it carries none.

    Version 8 leaves its layout to whoever made it, so a time outside this century counts as none.
    """
    if canonical[14] not in "78":
        return None
    seconds = int(canonical[:8] + canonical[9:13], 16) / 1000
    return seconds if _EARLIEST <= seconds < _LATEST else None


class _Clock:
    """48 bits of milliseconds and 12 bits below, never the same or smaller twice."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def tick(self) -> int:
        now = time.time_ns() // 1_000_000 << 12 | secrets.randbits(12)
        with self._lock:
            # A full or set-back clock borrows from the next millisecond, as RFC 9562 6.2 allows.
            self._last = max(now, self._last + 1)
            return self._last


_clock = _Clock()


@lru_cache(maxsize=64)
def _domain_bits(domain: str) -> int:
    digest = hashlib.sha1(domain.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") >> 2 & _LOW_62


def new_uuid(domain: str = "vconflow") -> str:
    """Return a version 8 UUID as the vCon draft makes them; each is greater than the one before.

    48 bits of Unix milliseconds, 12 bits that start at random in each millisecond and count up,
    then the high 62 bits of SHA-1(domain). Only 12 bits tell two processes with the same domain
    apart within a millisecond: give each replica that makes UUIDs a domain of its own.
    """
    tick = _clock.tick()
    number = (tick >> 12) << 80 | 8 << 76 | (tick & 0xFFF) << 64 | 2 << 62 | _domain_bits(domain)
    return _hyphenated(f"{number:032x}")


def _hyphenated(bare: str) -> str:
    return f"{bare[:8]}-{bare[8:12]}-{bare[12:16]}-{bare[16:20]}-{bare[20:]}"
