"""What stands for a request that carries an idempotency key."""

import hashlib

import msgspec

from vconflow.ports.intake import Idempotency

__all__ = ["idempotency_of"]

_encode = msgspec.msgpack.Encoder().encode
_PERSON = b"vconflow"


def idempotency_of(owner: str, key: str, *matters: object, body: bytes = b"") -> Idempotency | None:
    """Digests of a request; None without a key.

    A key means something to its `owner` only. `matters` is what besides the body makes it another
    request. Takes a millisecond per megabyte.
    """
    if not key:
        return None
    name = hashlib.blake2b(_encode((owner, key)), digest_size=16, person=_PERSON)
    whole = hashlib.blake2b(_encode(matters), digest_size=16, person=_PERSON)
    whole.update(body)
    return Idempotency(name.hexdigest(), whole.hexdigest())
