"""Which errors of S3 can pass: every code and every exception of the driver, in one place.

Messages are our own: the server's may name access keys, and the driver's whole URLs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from vconflow.errors import Conflict, Permanent, Retryable, Throttled
from vconflow.ports.retry_after import seconds_of

__all__ = ["code_of", "mapped_errors"]


class _Meaning(NamedTuple):
    kind: type[Retryable] | type[Permanent] | type[Conflict]
    hint: str = ""


_KEYS = "the access key is unknown"
_SECRET = "the secret access key is wrong"  # noqa: S105  # a message
_DENIED = "these keys may not do that"
_REGION = "the bucket is in another region"

_CODES: Final[Mapping[str, _Meaning]] = {
    # Keys, rights and names are the same for every vCon: whoever runs this mends them, and until
    # then vCons wait. None of them is to blame.
    "AccessDenied": _Meaning(Retryable, _DENIED),
    "AllAccessDisabled": _Meaning(Retryable, _DENIED),
    "AccountProblem": _Meaning(Retryable, _DENIED),
    "InvalidAccessKeyId": _Meaning(Retryable, _KEYS),
    "SignatureDoesNotMatch": _Meaning(Retryable, _SECRET),
    "NoSuchBucket": _Meaning(Retryable, "there is no such bucket"),
    "InvalidBucketName": _Meaning(Retryable, "that is no name of a bucket"),
    "PermanentRedirect": _Meaning(Retryable, _REGION),
    "AuthorizationHeaderMalformed": _Meaning(Retryable, _REGION),
    "IllegalLocationConstraintException": _Meaning(Retryable, _REGION),
    "EntityTooLarge": _Meaning(Permanent, "the object is too large"),
    "KeyTooLongError": _Meaning(Permanent, "the key is too long"),
    # Short-lived credentials, a clock, a quota: the same request succeeds later.
    "ExpiredToken": _Meaning(Retryable, "the temporary credentials are over"),
    "TokenRefreshRequired": _Meaning(Retryable, "the temporary credentials are over"),
    "RequestTimeTooSkewed": _Meaning(Retryable, "the clocks differ too much"),
    "QuotaExceeded": _Meaning(Retryable, "the quota is used up"),
    "RequestTimeout": _Meaning(Retryable),
    "SlowDown": _Meaning(Throttled, "too many requests"),
    "Throttling": _Meaning(Throttled, "too many requests"),
    "ThrottlingException": _Meaning(Throttled, "too many requests"),
    "TooManyRequests": _Meaning(Throttled, "too many requests"),
    "RequestLimitExceeded": _Meaning(Throttled, "too many requests"),
    "BandwidthLimitExceeded": _Meaning(Throttled, "too many requests"),
    "OperationAborted": _Meaning(Retryable),
    "InternalError": _Meaning(Retryable),
    "ServiceUnavailable": _Meaning(Retryable),
    "BadDigest": _Meaning(Retryable, "the bytes changed on the way"),
    "XAmzContentSHA256Mismatch": _Meaning(Retryable, "the bytes changed on the way"),
    # A rule of the bucket may end an upload in parts; it begins anew.
    "NoSuchUpload": _Meaning(Retryable, "the upload was ended by somebody else"),
    "PreconditionFailed": _Meaning(Conflict),
    "NoSuchKey": _Meaning(Conflict, "it is not there any more"),  # reading handles it before
    "ConditionalRequestConflict": _Meaning(Conflict),
}
_STATUS: Final[Mapping[int, _Meaning]] = {
    # For codes that nobody knows, and for answers to HEAD, which name none.
    301: _Meaning(Retryable, _REGION),
    403: _Meaning(Retryable, _DENIED),
    404: _Meaning(Retryable, "there is no such bucket"),
    408: _Meaning(Retryable),
    412: _Meaning(Conflict),
    425: _Meaning(Retryable),
    429: _Meaning(Throttled, "too many requests"),
}
_EXCEPTIONS: Final[tuple[tuple[type[Exception], _Meaning], ...]] = (
    # The first that fits counts.
    (ParamValidationError, _Meaning(Permanent)),
    (InvalidRegionError, _Meaning(Permanent, "that is no region")),
    (PartialCredentialsError, _Meaning(Retryable, "one of the two keys is missing")),
    # The service of the machine that hands them out may be away.
    (NoCredentialsError, _Meaning(Retryable, "no keys, neither configured nor from AWS")),
    (ConnectTimeoutError, _Meaning(Retryable, "it takes too long to connect")),
    (ReadTimeoutError, _Meaning(Retryable, "no answer in time")),
    (EndpointConnectionError, _Meaning(Retryable, "cannot connect")),
    (HTTPClientError, _Meaning(Retryable, "the connection broke")),
    (IncompleteReadError, _Meaning(Retryable, "the connection broke")),
    (BotoCoreError, _Meaning(Retryable)),
    (aiohttp.ClientError, _Meaning(Retryable, "the connection broke")),
    (ConnectionError, _Meaning(Retryable, "the connection broke")),
    (TimeoutError, _Meaning(Retryable, "no answer in time")),
    (ValueError, _Meaning(Permanent, "the endpoint is no URL of a server")),
)
_CAUGHT: Final[tuple[type[Exception], ...]] = (ClientError, *(kind for kind, _ in _EXCEPTIONS))


@contextmanager
def mapped_errors(bucket: str) -> Iterator[None]:
    """Raise Retryable, Permanent and Conflict for the driver's exceptions."""
    try:
        yield
    except ClientError as error:
        raise _of_answer(bucket, error) from None
    except _CAUGHT as error:
        kind, hint = next(meaning for kind, meaning in _EXCEPTIONS if isinstance(error, kind))
        # Without the cause: its text has the URL, and with that the key of a vCon.
        raise kind(_text(bucket, type(error).__name__, hint)) from None


def code_of(error: ClientError) -> str:
    """The code of an answer, its status when it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _of_answer(bucket: str, error: ClientError) -> Exception:
    code = code_of(error)
    answer: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    status = int(answer.get("HTTPStatusCode", 0))
    meaning = _CODES.get(code) or _STATUS.get(status)
    if meaning is None:
        meaning = _Meaning(Retryable if status >= 500 else Permanent)
    text = _text(bucket, f"{error.operation_name}: {_word(code)} ({status})", meaning.hint)
    if issubclass(meaning.kind, Retryable):
        wait = answer.get("HTTPHeaders", {}).get("retry-after")
        return meaning.kind(text, retry_after=seconds_of(wait))
    return meaning.kind(text)


def _word(code: str) -> str:
    """A code of somebody else's server, as far as it is one."""
    return code if code.isalnum() and len(code) <= 64 else "an error"


def _text(bucket: str, what: str, hint: str) -> str:
    return f"S3 bucket {bucket!r}: {what}{': ' if hint else ''}{hint}"
