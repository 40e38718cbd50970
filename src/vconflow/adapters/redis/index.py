"""The search index: which keys a document is in, as its meta hash remembers them."""

import msgspec

from vconflow.adapters.redis.keys import Keys
from vconflow.model.validation import Facts

__all__ = ["index_keys", "index_of", "index_text"]

_decode = msgspec.json.Decoder(list[str]).decode


def index_text(keys: list[str]) -> str:
    """Index keys as the meta hash holds them; empty for none."""
    return msgspec.json.encode(keys).decode() if keys else ""


def index_keys(text: str | bytes) -> list[str]:
    """The index keys that a meta hash holds."""
    return _decode(text) if text else []


def index_of(keys: Keys, facts: Facts | None) -> tuple[list[str], str]:
    """Index keys of a document and their text."""
    names = keys.index(facts) if facts else []
    return names, index_text(names)
