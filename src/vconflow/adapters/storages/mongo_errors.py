"""Which errors of MongoDB can pass, and which are faults of the one vCon."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from vconflow.errors import Permanent, Retryable

__all__ = ["failure_of", "is_held_already", "mapped_errors"]

_DUPLICATE_KEY: Final = 11000
_REFUSED: Final = frozenset(
    {
        # What MongoDB says of a document it cannot take. Everything else, a wrong password or a
        # missing right too, is for the operator to repair.
        2,  # BadValue
        9,  # FailedToParse
        14,  # TypeMismatch
        15,  # Overflow: nested too deeply
        22,  # InvalidBSON
        52,  # DollarPrefixedFieldName
        56,  # EmptyFieldName
        57,  # DottedFieldName
        121,  # DocumentValidationFailure
        10334,  # BSONObjectTooLarge
        _DUPLICATE_KEY,  # of an index that somebody made
        17419,  # too large after an update
        17420,  # too large
    }
)


def is_held_already(error: Mapping[str, Any]) -> bool:
    """Whether a write failed because the vCon is there in this or a newer revision."""
    if error.get("code") != _DUPLICATE_KEY:
        return False
    pattern = error.get("keyPattern")
    return "_id_" in error.get("errmsg", "") if pattern is None else dict(pattern) == {"_id": 1}


def failure_of(error: Mapping[str, Any]) -> Retryable | Permanent:
    """What the error of one write means, without its message: that may quote the conversation."""
    code = error.get("code", 0)
    if code in _REFUSED:
        return Permanent(f"MongoDB refuses it: error {code}")
    return Retryable(f"MongoDB: error {code}")


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Raise Retryable for the driver's errors."""
    try:
        yield
    except ServerSelectionTimeoutError:
        # Its message lists all servers with all that is known of them.
        raise Retryable("MongoDB: no server answers that could be written to") from None
    except OperationFailure as error:
        name = (error.details or {}).get("codeName") or f"error {error.code}"
        raise Retryable(f"MongoDB: {name}") from None
    except (PyMongoError, OSError) as error:
        raise Retryable(f"MongoDB: {type(error).__name__}") from None
