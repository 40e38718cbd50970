"""Content hashes: `alg` and `signature` of 0.0.1, `sha512-<base64url>` since."""

import re
from base64 import urlsafe_b64encode

__all__ = ["content_hash", "legacy_hash", "normal_hash"]

_NAME = re.compile(r"sha-?(\d{3})", re.IGNORECASE)
_JOINED = re.compile(r"(sha-?\d{3})-(.+)", re.IGNORECASE | re.DOTALL)
_HEX = re.compile(r"[0-9a-fA-F]{128}")
_URLSAFE = str.maketrans("+/", "-_")


def content_hash(alg: str, signature: str) -> str | None:
    """Return the `content_hash` of a legacy pair, None if there is none (LM-OTS signatures)."""
    name = _NAME.fullmatch(alg)
    if not name or not signature:
        return None
    if _HEX.fullmatch(signature):
        signature = urlsafe_b64encode(bytes.fromhex(signature)).decode()
    return f"sha{name[1]}-{signature.rstrip('=').translate(_URLSAFE)}"


def normal_hash(text: str) -> str:
    """Return a `content_hash` with its algorithm and digest in the normal spelling."""
    joined = _JOINED.fullmatch(text)
    return (content_hash(joined[1], joined[2]) or text) if joined else text


def legacy_hash(text: str) -> tuple[str, str] | None:
    """Return `alg` and `signature` of a `content_hash`, None if it is no SHA."""
    joined = _JOINED.fullmatch(text)
    name = joined and _NAME.fullmatch(joined[1])
    return (f"SHA-{name[1]}", joined[2]) if joined and name else None
