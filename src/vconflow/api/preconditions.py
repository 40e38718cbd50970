"""If-Match and If-None-Match (RFC 9110, 13.1)."""

import re

__all__ = ["matches_strongly", "matches_weakly"]

_TAG = re.compile(r'(W/)?("[^"]*")')


def matches_strongly(header: str, etag: str) -> bool:
    """Tell whether If-Match names the ETag; a weak one never counts."""
    return _is_any(header) or any(not weak and tag == etag for weak, tag in _TAG.findall(header))


def matches_weakly(header: str, etag: str) -> bool:
    """Tell whether If-None-Match names the ETag."""
    return _is_any(header) or any(tag == etag for _, tag in _TAG.findall(header))


def _is_any(header: str) -> bool:
    return header.strip() == "*"
