"""The log: one stream of JSON lines or of pretty ones, from us and from libraries alike."""

import asyncio
import io
import json
import logging
import warnings
from typing import Any

import pytest

from vconflow.ports.component import Secret
from vconflow.telemetry import log


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_event() -> None:
    stream = io.StringIO()
    log.configure(to=stream)
    log.get_logger().info("started", port=8000)
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"event": "started", "level": "info", "port": 8000}


def test_every_line_says_which_replica_it_is_from() -> None:
    stream = io.StringIO()
    log.configure(to=stream, replica="one.2")
    log.get_logger().info("started")
    logging.getLogger("library").warning("slow")
    # A line about another replica says so already.
    log.get_logger().info("seen", replica="one.1")
    assert [line["replica"] for line in lines(stream)] == ["one.2", "one.2", "one.1"]


def test_the_level_is_respected_in_any_case() -> None:
    stream = io.StringIO()
    log.configure("WARNING", to=stream)
    log.get_logger().info("unwanted")
    logging.getLogger("library").info("unwanted")
    log.get_logger().warning("wanted")
    assert [line["event"] for line in lines(stream)] == ["wanted"]


def test_an_unknown_level_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown log level 'loud': expected one of debug, info"):
        log.configure("loud")


@pytest.mark.parametrize("level", log.LEVELS)
def test_debug_is_only_enabled_at_debug(level: str) -> None:
    log.configure(level, to=io.StringIO())
    assert log.debug_enabled() == (level == "debug")


def test_libraries_write_the_same_lines() -> None:
    stream = io.StringIO()
    log.configure(to=stream)
    logging.getLogger("asyncpg").warning("slow %s", "query")
    (line,) = lines(stream)
    assert line.pop("time")
    assert line == {"event": "slow query", "level": "warning", "logger": "asyncpg"}


@pytest.mark.parametrize("name", ["httpx", "uvicorn.access"])
def test_what_libraries_say_about_every_request_is_for_debugging(name: str) -> None:
    stream = io.StringIO()
    log.configure("info", to=stream)
    logging.getLogger(name).info("POST /vcon")
    assert stream.getvalue() == ""
    log.configure("debug", to=stream)
    logging.getLogger(name).info("POST /vcon")
    assert len(lines(stream)) == 1


def test_python_warnings_are_logged() -> None:
    stream = io.StringIO()
    log.configure(to=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old option", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "old option" in lines(stream)[0]["event"]


async def test_bound_values_belong_to_the_task_that_bound_them() -> None:
    stream = io.StringIO()
    log.configure(to=stream)

    async def process(chain: str) -> None:
        log.bind(chain=chain)
        await asyncio.sleep(0)
        log.get_logger().info("step")

    await asyncio.gather(process("one"), process("two"))
    with log.bound(request_id="r"):
        log.get_logger().info("inside")
    log.get_logger().info("outside")
    assert [line.get("chain") for line in lines(stream)] == ["one", "two", None, None]
    assert [line.get("request_id") for line in lines(stream)] == [None, None, "r", None]


def _fail(pretty: bool) -> str:
    stream = io.StringIO()
    log.configure(pretty=pretty, to=stream)
    conversation = "words nobody may read"
    try:
        raise ValueError(len(conversation))
    except ValueError as error:
        log.get_logger().error("failed", exc_info=error)
        logging.getLogger("library").exception("failed too")
    return stream.getvalue()


@pytest.mark.parametrize("pretty", [True, False])
def test_tracebacks_show_no_local_variables(pretty: bool) -> None:
    written = _fail(pretty)
    assert written.count("Traceback") == 2
    assert "ValueError: 21" in written
    assert 'conversation = "words' not in written.replace("\\", "")
    assert "conversation = 'words" not in written


def test_a_traceback_is_one_json_line() -> None:
    stream = io.StringIO(_fail(pretty=False))
    assert all("Traceback" in line["exception"] for line in lines(stream))


def test_secrets_and_odd_values_do_not_break_a_line() -> None:
    stream = io.StringIO()
    log.configure(to=stream)
    log.get_logger().info("odd", key=Secret("hunter2"), raw=b"\xff", text="\ud800\n")
    assert "hunter2" not in stream.getvalue()
    assert lines(stream)[0]["key"] == "***"


def test_a_terminal_gets_pretty_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log.configure(to=stream)
    log.get_logger().info("started", port=8000)
    assert "started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
