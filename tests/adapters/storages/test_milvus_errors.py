"""Which errors of Milvus become which of ours."""

from typing import Any

import grpc.aio
import pytest
from pymilvus.exceptions import DataNotMatchException, MilvusException, ParamError
from pymilvus.grpc_gen import common_pb2

from vconflow.adapters.storages.milvus_errors import mapped_errors
from vconflow.errors import Permanent, Retryable

WORDS = "secret words\nmore"


def _of_grpc(code: grpc.StatusCode) -> Exception:
    nothing: Any = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, nothing, nothing, WORDS)


@pytest.mark.parametrize(
    "error",
    [
        DataNotMatchException(message=WORDS),
        ParamError(message=WORDS),
        MilvusException(1100, WORDS),
        MilvusException(6, WORDS, common_pb2.IllegalArgument),
        _of_grpc(grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=repr,
)
def test_what_is_refused_is_not_quoted(error: Exception) -> None:
    with pytest.raises(Permanent) as caught, mapped_errors(lambda: None):
        raise error
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MilvusException(8, "too many requests"), "too many requests (8)"),
        (
            MilvusException(5, "[query] Retry run out of 0 retry times, message=broken"),
            "broken (5)",
        ),
        (MilvusException(6, "no such cluster"), "no such cluster (6)"),
        (MilvusException(grpc.StatusCode.UNAVAILABLE, ""), "no message (UNAVAILABLE)"),
        (_of_grpc(grpc.StatusCode.UNAUTHENTICATED), "UNAUTHENTICATED"),
        (ConnectionResetError("reset"), "ConnectionResetError: reset"),
    ],
    ids=repr,
)
def test_all_else_is_waited_for(error: Exception, message: str) -> None:
    with pytest.raises(Retryable) as caught, mapped_errors(lambda: None):
        raise error
    assert str(caught.value) == f"Milvus: {message}"


@pytest.mark.parametrize(
    ("error", "is_gone"),
    [
        (MilvusException(100, "x"), True),
        (MilvusException(101, "x"), True),
        (MilvusException(4, "x", common_pb2.CollectionNotExists), True),
        (MilvusException(4, "x"), False),
        (MilvusException(8, "x"), False),
    ],
    ids=repr,
)
def test_a_collection_that_is_gone_is_looked_for_again(error: Exception, is_gone: bool) -> None:
    forgotten = []
    with pytest.raises(Retryable), mapped_errors(lambda: forgotten.append(1)):
        raise error
    assert bool(forgotten) is is_gone
