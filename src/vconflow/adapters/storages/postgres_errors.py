"""Which errors of PostgreSQL can pass, and which are faults of the one vCon."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from vconflow.errors import Permanent, Retryable

__all__ = ["REFUSED", "mapped_errors", "refusal"]

REFUSED: Final = (
    # What PostgreSQL says of a value it cannot take. Everything else, a wrong password or a missing
    # right too, is for the operator to repair, and the same statement may succeed then.
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
_PASSING: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Raise Permanent for REFUSED and Retryable for the driver's other errors."""
    try:
        yield
    except REFUSED as error:
        raise refusal(error) from None
    except _PASSING as error:
        raise Retryable(f"PostgreSQL: {type(error).__name__}: {_message(error)}") from error


def refusal(error: Exception) -> Permanent:
    """Return the error of one vCon, without the message: it may quote the conversation."""
    state = getattr(error, "sqlstate", None)
    return Permanent(f"PostgreSQL refuses it: {type(error).__name__} ({state})")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # str() of a PostgresError adds its DETAIL, which may hold values.
    return str(error.args[0]) if error.args else "no message"
