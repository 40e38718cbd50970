"""The link `jq_link`."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from vconflow.config import check
from vconflow.errors import Permanent, Retryable
from vconflow.links.filtering.process import open_filter
from vconflow.links.jq_link import JqLink, JqOptions
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources
from vconflow.ports.link import CONTINUE, Halt, Link, LinkRun, Outcome
from vconflow.testing.contracts import LinkContract, resources_for


class TestJqContract(LinkContract):
    link_class = JqLink
    link_options: ClassVar = {"filter": '.parties | any(.mailto == "a@example.com")'}


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return resources_for(tmp_path)


def vcon_with(**members: Any) -> Vcon:
    head = {"vcon": "0.0.1", "uuid": new_uuid("jq"), "created_at": "2024-03-14T09:26:53Z"}
    return Vcon(msgspec.json.encode({**head, "parties": [], **members}))


def run() -> LinkRun:
    return LinkRun(link="l", chain="c", list="in", entry="5-1")


@asynccontextmanager
async def opened(resources: Resources, **options: Any) -> AsyncIterator[Link]:
    given = msgspec.convert(options, JqOptions, strict=False)
    async with JqLink.open(given, resources) as link:
        yield link


async def outcome(resources: Resources, vcon: Vcon, **options: Any) -> Outcome:
    async with opened(resources, **options) as link:
        return await link(vcon, run())


DIALOG = [{"type": "text", "duration": 61, "body": "hi"}, {"type": "text", "duration": 3}]


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        (".", True),
        (".dialog[0].duration > 60", True),
        (".dialog[1].duration > 60", False),
        (".dialog[5].duration > 60", False),
        (".dialog[] | select(.duration > 60)", True),
        (".dialog[] | select(.duration > 600)", False),
        ("empty", False),
        # What Python takes for false, as the reference does; jq itself takes only two of them so.
        ("null", False),
        ("0", False),
        ('""', False),
        ("[]", False),
        ("{}", False),
        ("[0]", True),
        # Only the first result counts, and the others are not even made.
        ("false, true", False),
        ("1, repeat(1)", True),
        ('true, error("x")', True),
        (".no.such.member", False),
        (".meta.big == 123456789012345678901234567890", True),
        # Beyond 64 bit, jq sees neighbours as one number.
        (".meta.id == 9223372036854775807", True),
        (".meta.huge > 1", True),
        (".meta.zero | length == 1", True),
    ],
)
async def test_what_matches(text: str, *, matches: bool) -> None:
    meta = b'{"big":123456789012345678901234567890,"id":9223372036854775807,"huge":1e999999,'
    document = vcon_with(dialog=DIALOG).to_bytes()
    document = document[:-1] + b',"meta":' + meta + b'"zero":"\\u0000"}}'
    async with open_filter(text, seconds=30, memory=512 << 20) as running:
        assert await running.matches(document) is matches


@pytest.mark.parametrize(
    ("text", "forward", "expected"),
    [
        (".parties | length == 0", "true", CONTINUE),
        (".parties | length == 0", "false", Halt("the filter matches")),
        (".parties | length == 1", "true", Halt("the filter does not match")),
        (".parties | length == 1", "false", CONTINUE),
    ],
)
async def test_what_goes_on(
    resources: Resources, text: str, forward: str, expected: Outcome
) -> None:
    vcon = vcon_with()
    assert await outcome(resources, vcon, filter=text, forward_matches=forward) == expected
    assert not vcon.changed


@pytest.mark.parametrize("text", [".subject + 1", ".subject[0]", 'error("x")', ".subject | @sh"])
async def test_a_filter_that_fails(resources: Resources, text: str) -> None:
    vcon = vcon_with(subject={"secret": "words"})
    # Whatever is forwarded: nobody knows whether it matches.
    for forward in (True, False):
        halted = await outcome(resources, vcon, filter=text, forward_matches=forward)
        assert halted == Halt("the filter raises an error")
    async with opened(resources, filter=text, on_error="fail") as link:
        with pytest.raises(Permanent) as caught:
            await link(vcon, run())
        assert "words" not in str(caught.value)


async def test_a_filter_that_never_ends_stops_neither_the_loop_nor_the_link(
    resources: Resources,
) -> None:
    text = 'if .subject == "endless" then [range(infinite)] | length else true end'
    async with opened(resources, filter=text, seconds="0.3") as link:
        endless = asyncio.create_task(_called(link, vcon_with(subject="endless")))
        turns, started = 0, time.thread_time()
        while not endless.done():
            await asyncio.sleep(0.005)
            turns += 1
        with pytest.raises(Permanent, match=r"more than 0\.3 s of processor time"):
            await endless
        # The loop went on meanwhile, and it was not this thread that worked.
        assert turns > 10
        assert time.thread_time() - started < 0.3
        assert await link(vcon_with(), run()) == CONTINUE


async def _called(link: Link, vcon: Vcon) -> Outcome:
    return await link(vcon, run())


async def test_a_filter_that_takes_all_memory_is_ended() -> None:
    text = "if .grow then [range(infinite)] | length else true end"
    async with open_filter(text, seconds=30, memory=64 << 20) as running:
        with pytest.raises(Permanent, match="more than 64 MiB of memory"):
            await running.matches(b'{"grow":true}')
        assert await running.matches(b"{}") is True


async def test_gigabytes_of_results_are_not_made() -> None:
    text = "range(1e9) | tostring * 1000"
    async with open_filter(text, seconds=5, memory=512 << 20) as running:
        assert await running.matches(b"{}") is True


async def test_a_large_vcon(resources: Resources) -> None:
    vcon = vcon_with(dialog=[{"type": "text", "body": "x" * 1000, "duration": 61}] * 5000)
    assert await outcome(resources, vcon, filter=".dialog | length == 5000") == CONTINUE


async def test_a_process_that_was_killed_is_started_again() -> None:
    async with open_filter(".x", seconds=5, memory=512 << 20) as running:
        assert await running.matches(b'{"x":1}') is True
        assert running._process is not None
        os.kill(running._process.pid, signal.SIGKILL)
        with pytest.raises(Retryable, match="has ended with -9"):
            await running.matches(b'{"x":1}')
        assert await running.matches(b'{"x":1}') is True


async def test_one_that_gave_up_leaves_no_answer_to_the_next() -> None:
    text = "if .slow then [range(3e7)] | length else false end"
    async with open_filter(text, seconds=30, memory=2 << 30) as running:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await running.matches(b'{"slow":true}')
        assert await running.matches(b"{}") is False


async def test_questions_wait_for_each_other() -> None:
    async with open_filter(".x", seconds=5, memory=512 << 20) as running:
        documents = [json.dumps({"x": n % 3 == 0}).encode() for n in range(60)]
        answers = await asyncio.gather(*map(running.matches, documents))
    assert answers == [n % 3 == 0 for n in range(60)]


async def test_the_process_ends_with_the_link() -> None:
    async with open_filter(".", seconds=5, memory=512 << 20) as running:
        assert running._process is not None
        process = running._process
    assert process.returncode == -signal.SIGKILL


async def test_a_filter_sees_no_environment(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    for text in ("env | length", "$ENV | length", "env.OPENAI_API_KEY"):
        assert await outcome(resources, vcon_with(), filter=text) != CONTINUE


@pytest.mark.parametrize(
    "text",
    [
        'import "secrets" as $x {search:"/etc"}; $x',
        '\n # a comment\r\n include "x"; .',
        'module {name:"x"}; import "x" as $y; .',
    ],
)
def test_a_filter_reads_no_files(text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="filter: modules cannot be used"):
        msgspec.convert({"filter": text}, JqOptions)


def test_a_bad_filter_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    links = {"pick": {"module": "links.jq_link", "options": {"filter": ".dialog["}}}
    file.write_text(json.dumps({"links": links, "chains": {"c": {"links": ["pick"]}}}))
    (error,) = check(file, {}).errors
    assert error.startswith("links.pick.options: filter: syntax error, unexpected end of file")
