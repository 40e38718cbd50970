"""The header Idempotency-Key: a request that is repeated with it is carried out once."""

from vconflow.api.call import Call
from vconflow.api.refusals import InvalidRequest

__all__ = ["idempotency_key"]

_LONGEST = 255


def idempotency_key(call: Call) -> str:
    """The key of the request, empty if it has none. Raises InvalidRequest for one that is too long.

    It may be any text: what is stored is a digest of it.
    """
    key = call.header(b"idempotency-key").strip()
    if len(key) > _LONGEST:
        message = f"String should have at most {_LONGEST} characters"
        raise InvalidRequest.at(("header", "Idempotency-Key"), message, "string_too_long")
    return key
