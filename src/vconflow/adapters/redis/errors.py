"""What the errors of Redis and of its driver mean to us: the one table."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as driver

from vconflow.errors import Permanent, Unavailable

__all__ = ["as_ours", "redis_errors"]

# Codes with which a server says "not now". Most may also come out of the middle of a script, but
# only before its first write: from then on Redis lets a script through to its end.
_NOT_NOW = frozenset(
    {
        "BUSY",  # somebody's script runs for long
        "CLUSTERDOWN",
        "EXECABORT",  # one of a transaction's commands was refused, so none was run
        "FAILOVER",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",  # it cannot write to its disk
        "NOGROUP",  # its data was lost or flushed: the next read makes the group again
        "NOREPLICAS",
        "NOSCRIPT",
        "OOM",
        "READONLY",  # it has become a replica
        "TRYAGAIN",
        "UNBLOCKED",  # by an operator, or by a change of its role
        "UNKILLABLE",
    }
)
# Codes of a refusal. We were let in at the start: somebody changes the password or the rights,
# and will change them back.
_REFUSED = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})
# Replies without a code of their own, and the beginnings of refusals inside a script.
_NOT_NOW_TEXTS = ("Script killed by user", "max number of clients reached")
_REFUSED_TEXTS = (
    "ACL failure in script",
    "The user executing the script can't",
    "Protocol error: unauthenticated",  # a long command, before its name was looked at
)

_IN_PIPELINE = re.compile(r"Command # .* of pipeline caused error: \(['\"](.*)['\"],\)", re.DOTALL)


@contextmanager
def redis_errors() -> Iterator[None]:
    """Map the driver's exceptions to ours."""
    try:
        yield
    except (driver.RedisError, OSError) as error:
        raise as_ours(error) from error
    except RuntimeError as error:
        # uvloop's word for writing to a connection that the other side has closed.
        if "closed" not in str(error):
            raise
        raise Unavailable("Redis is unavailable: the connection was closed") from error


def as_ours(error: Exception) -> Unavailable | Permanent:
    """`Unavailable` for what may pass, `Permanent` for what trying again cannot help.

    For replies that the driver returns instead of raising them; else use `redis_errors`.
    """
    if _is_refusal(error) or _is_refusal(error.__cause__):
        return Unavailable("Redis refuses us: its password or our rights were changed")
    if isinstance(error, driver.ResponseError):
        return _from_reply(*_code_and_text(error))
    if isinstance(error, driver.ConnectionError | driver.TimeoutError | OSError):
        return Unavailable(f"Redis is unavailable: {type(error).__name__}")
    if isinstance(error, driver.InvalidResponse):
        return Unavailable("Redis is unavailable: its answer came in pieces")
    return Permanent(f"Redis: {type(error).__name__}")


def _is_refusal(error: BaseException | None) -> bool:
    return isinstance(error, driver.AuthenticationError | driver.NoPermissionError)


def _from_reply(code: str, text: str) -> Unavailable | Permanent:
    if code in _REFUSED or text.startswith(_REFUSED_TEXTS):
        return Unavailable("Redis refuses us: its password or our rights were changed")
    if code in _NOT_NOW or text.startswith(_NOT_NOW_TEXTS):
        return Unavailable(f"Redis cannot do it now: {code} {text}".rstrip())
    return Permanent(f"Redis: {code} {text}".rstrip())


def _code_and_text(error: driver.ResponseError) -> tuple[str, str]:
    # The driver quotes the command in front of the reply, and with it what people said.
    quoted = _IN_PIPELINE.fullmatch(str(error))
    text = quoted[1] if quoted else str(error)
    if error.status_code:
        return str(error.status_code), text
    code, _, rest = text.partition(" ")
    return (code, rest) if code.isupper() else ("", text)
