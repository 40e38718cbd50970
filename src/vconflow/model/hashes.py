"""Content hashes: `alg` and `signature` of 0.0.1, `sha512-<base64url>` since."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

__all__ = [
    "content_hash",
    "hash_of",
    "joined_hash",
    "legacy_hash",
    "normal_hash",
    "stated_hashes",
]

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


def joined_hash(name: str, digest: bytes) -> str:
    """Return the `content_hash` of a digest; `name` is the algorithm's, as in `sha512`."""
    return f"{name}-{urlsafe_b64encode(digest).decode().rstrip('=')}"


def hash_of(content: bytes) -> str:
    """Return the `content_hash` of a content, by the algorithm that everybody must know."""
    return joined_hash("sha512", hashlib.sha512(content).digest())


def stated_hashes(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an item says about the content behind its `url`, in the normal spelling.

    Of an algorithm that is no SHA the text begins with its name, too.
    """
    stated = item.get("content_hash")
    every = stated if isinstance(stated, list) else [stated]
    found = [normal_hash(text) for text in every if isinstance(text, str) and text]
    alg, signature = item.get("alg"), item.get("signature")
    if not found and isinstance(alg, str) and isinstance(signature, str) and signature:
        found = [content_hash(alg, signature) or f"{alg}-{signature}"]
    return tuple(found)
