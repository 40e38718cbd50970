"""Credentials among the options of a module stay out of what it raises."""

import traceback
from dataclasses import dataclass

import pytest

from vconflow.adapters.modules.hiding import hiding

OPTIONS = {
    "api_key": "s3cr3t/key",
    "login": {"passwords": ["s3cr3t word", 123456789]},
    "dsn": "postgresql://u:s3cr3t-one@h/d",
    "model": "large",
    "auth_type": "none",
}


class Talkative(Exception):
    def __str__(self) -> str:
        return "it is s3cr3t/key"


@dataclass(frozen=True)
class Frozen(Exception):
    why: str


def told(error: BaseException) -> str:
    """What is logged of an error that was raised where options are hidden."""
    try:
        with hiding(OPTIONS):
            raise error
    except BaseException as raised:  # noqa: BLE001
        return "".join(traceback.format_exception(raised))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("s3cr3t/key"),
        ValueError("at https://h/?key=s3cr3t%2Fkey&q=s3cr3t+word"),
        ValueError("login 123456789"),
        ValueError("cannot connect to postgresql://u:s3cr3t-one@h/d"),
        ValueError("password s3cr3t-one"),
        ValueError({"key": "s3cr3t/key"}),
        ValueError(b"s3cr3t/key"),
        OSError(5, "s3cr3t/key"),
        FileNotFoundError(2, "not there", "/x/s3cr3t/key"),
        Talkative(),
        Frozen("s3cr3t/key"),
        ExceptionGroup("s3cr3t/key", [ValueError("s3cr3t word")]),
        SystemExit("s3cr3t/key"),
    ],
)
def test_no_credential_is_told(error: BaseException) -> None:
    text = told(error)
    assert not [line for line in text.splitlines() if "s3cr3t" in line or "123456789" in line]
    assert "***" in text


def test_nor_by_what_caused_it() -> None:
    error = ValueError("no")
    error.__cause__, error.__context__ = Talkative(), KeyError("s3cr3t word")
    error.add_note("s3cr3t/key")
    assert "s3cr3t" not in told(error)
    assert "s3cr3t" not in told(ExceptionGroup("several", [ValueError("x"), Talkative()]))


def test_the_rest_is_told_as_it_is() -> None:
    assert told(ValueError("none of large")).endswith("ValueError: none of large\n")
    assert told(Frozen("none")).endswith("Frozen: none\n")
