"""What each error of Redis means, on every server that we support."""

import pytest
from redis import exceptions as driver
from redis.asyncio import Redis

from vconflow.adapters.redis.errors import as_ours, redis_errors
from vconflow.errors import Permanent, Unavailable

WRITE = "return redis.call('SET', KEYS[1], 'x')"
MAY_PASS = [
    "MISCONF Errors writing to the AOF file: No space left on device",
    "MISCONF Errors writing to the AOF file script: 085b9, on @user_script:1.",
    "NOREPLICAS Not enough good replicas to write. script: on @user_script:1.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "UNKILLABLE Sorry the script already executed write commands against the dataset.",
    "UNBLOCKED force unblock from blocking operation, instance state changed",
    "NOGROUP No such key 's' or consumer group 'g' script: on @user_script:1.",
    "EXECABORT Transaction discarded because of previous errors.",
    "Script killed by user with SCRIPT KILL... script: 69e4, on @user_script:1.",
    "ERR max number of clients reached",
    "ERR ACL failure in script: User bob has no permissions to run the 'set' command",
    "ERR The user executing the script can't run this command or subcommand script: 085b9",
    "ERR Protocol error: unauthenticated multibulk length",
    "Command # 1 (SET a b) of pipeline caused error: ('BUSY Redis is busy running a script.',)",
]
NEVER_PASS = [
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR user_script:1: attempt to perform arithmetic on a nil value script: on @user_script:1.",
    "ERR unknown command 'XFOO'",
    "CROSSSLOT Keys in request don't hash to the same slot",
]


def reply(text: str) -> driver.ResponseError:
    """As the driver makes it: a code it knows is not a part of the text any more."""
    code, _, rest = text.partition(" ")
    if code in ("ERR", "EXECABORT"):
        return driver.ResponseError(rest, status_code=code)
    return driver.ResponseError(text)


@pytest.mark.parametrize("text", MAY_PASS)
def test_what_may_pass(text: str) -> None:
    assert type(as_ours(reply(text))) is Unavailable


@pytest.mark.parametrize("text", NEVER_PASS)
def test_what_trying_again_cannot_help(text: str) -> None:
    assert type(as_ours(reply(text))) is Permanent


def test_a_command_is_never_quoted() -> None:
    said = "Command # 1 (SET a said in confidence) of pipeline caused error: ('ERR syntax',)"
    assert str(as_ours(driver.ResponseError(said))) == "Redis: ERR syntax"


@pytest.mark.parametrize("error", [OSError("x"), driver.TimeoutError("x"), TimeoutError()])
def test_a_lost_connection_may_come_back(error: Exception) -> None:
    assert type(as_ours(error)) is Unavailable


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("ACL SETUSER default -set", "ACL SETUSER default +@all"),
    ],
)
async def test_the_real_reply_in_every_wrapping(redis_url: str, begin: str, end: str) -> None:
    """Alone, out of a script, out of a transaction, out of a pipeline."""
    async with Redis.from_url(redis_url) as client:
        await client.execute_command(*begin.split())
        try:
            with pytest.raises(Unavailable), redis_errors():
                await client.set("key", "x")
            with pytest.raises(Unavailable), redis_errors():
                await client.eval(WRITE, 1, "key")  # type: ignore[misc]
            for transaction in (True, False):
                with pytest.raises(Unavailable), redis_errors():
                    async with client.pipeline(transaction=transaction) as pipe:
                        await pipe.set("key", "x").execute()
        finally:
            await client.execute_command(*end.split())
