"""Which errors of Milvus can pass, and which are faults of the one vCon."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import grpc.aio
from pymilvus.exceptions import DataNotMatchException, MilvusException, ParamError
from pymilvus.grpc_gen import common_pb2

from vconflow.errors import Permanent, Retryable

__all__ = ["mapped_errors"]

# Each version numbers its errors in its own way; the older numbers come along with the newer.
# What Milvus says of a row that it cannot take: an invalid parameter. Everything else, a wrong
# password too, is for the operator to repair, and the same call may succeed then.
_REFUSED_KINDS: Final = (DataNotMatchException, ParamError)
_REFUSED: Final = frozenset({1100, grpc.StatusCode.INVALID_ARGUMENT})
_REFUSED_OF_OLD: Final = common_pb2.IllegalArgument
_GONE: Final = frozenset({100, 101, 700})
"""The collection or its index is not there, or it is not loaded."""
_GONE_OF_OLD: Final = frozenset({common_pb2.CollectionNotExists, common_pb2.IndexNotExist})
_BEFORE: Final = "retry times, message="
_LONGEST: Final = 300


@contextmanager
def mapped_errors(forget: Callable[[], None]) -> Iterator[None]:
    """Raise Permanent for rows that Milvus refuses and Retryable for all other errors.

    `forget` is called when the collection is not what it was.
    """
    try:
        yield
    except MilvusException as error:
        if error.code in _GONE or error.compatible_code in _GONE_OF_OLD:
            forget()
        if _is_refusal(error):
            # Without the message: it may quote the conversation.
            raise Permanent(f"Milvus refuses it: {type(error).__name__} ({error.code})") from None
        raise Retryable(f"Milvus: {_message(error)}") from error
    except grpc.aio.AioRpcError as error:
        name = error.code().name
        if error.code() in _REFUSED:
            raise Permanent(f"Milvus refuses it: {name}") from None
        raise Retryable(f"Milvus: {name}") from error
    except (OSError, TimeoutError) as error:
        raise Retryable(f"Milvus: {type(error).__name__}: {error}") from error


def _is_refusal(error: MilvusException) -> bool:
    return (
        isinstance(error, _REFUSED_KINDS)
        or error.code in _REFUSED
        or error.compatible_code == _REFUSED_OF_OLD
    )


def _message(error: MilvusException) -> str:
    code = getattr(error.code, "name", error.code)
    # The driver puts before it how often it has tried.
    text = str(error.message).rpartition(_BEFORE)[2]
    return f"{text.splitlines()[0][:_LONGEST] if text else 'no message'} ({code})"
