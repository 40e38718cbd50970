"""`vconflow dead-letters` against a real server on a real Redis."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import redis
from cli_dead_letters import TOKEN, egress, served
from cli_process import Process
from click.testing import CliRunner, Result

from vconflow.cli import main
from vconflow.testing import servers
from vconflow.testing.dead_letters import bury
from vconflow.testing.webhook_receiver import Reply, webhook_receiver

MANY = 20_000

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def server(
    valkey_server: servers.RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """One server for all tests of this file; each empties the lists."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    with served(tmp_path_factory.mktemp("server"), valkey_server.url) as process:
        yield process


@pytest.fixture
def db(server: Process, valkey_server: servers.RedisServer) -> "Iterator[redis.Redis[bytes]]":
    with redis.Redis.from_url(valkey_server.url) as client:
        yield client
        for key in client.keys("vconflow:dead:*"):
            client.delete(key)
        client.xtrim("vconflow:list:out", maxlen=0)


@pytest.fixture
def command(server: Process) -> Command:
    env = {"VCONFLOW_URL": server.url(), "CONSERVER_API_TOKEN": TOKEN}

    def run(*arguments: object, answer: str | None = None, **more: str) -> Result:
        texts = ["dead-letters", *map(str, arguments)]
        return CliRunner().invoke(main, texts, env={**env, **more}, input=answer)

    return run


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_letters_are_listed_as_a_table_lines_or_json(
    command: Command, db: "redis.Redis[bytes]"
) -> None:
    uuids = bury(db, "in", 2) + bury(db, "in", 1, stage="storage:pg", error="\x1b[2J away\nfor now")

    plain = command("list", "--stage", "storage")
    assert plain.exit_code == 0, plain.output
    (line,) = plain.stdout.splitlines()
    fields = line.split("\t")
    assert fields[1:5] == [uuids[2], "main", "storage:pg", "3"]
    assert fields[6] == "Permanent:  [2J away for now"

    letters = lines(command("list", "--json"))
    assert [letter["uuid"] for letter in letters] == uuids
    assert letters[0]["next_link"] == "second"


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_of_any_width_shows_whole_ids(
    command: Command, db: "redis.Redis[bytes]", columns: int
) -> None:
    uuids = bury(db, "in", 2)
    ids = [letter["id"] for letter in lines(command("list", "--json"))]
    table = command("list", FORCE_COLOR="1", TERM="xterm", COLUMNS=str(columns)).stdout
    for letter_id, uuid in zip(ids, uuids, strict=True):
        assert re.search(rf"{letter_id} +link:second +\S+, 3", table)
        assert re.search(rf"{uuid} +main +Permanent", table)


def test_nothing_to_list_is_said(command: Command, db: "redis.Redis[bytes]") -> None:
    result = command("list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no dead letters\n")
    assert command("list", "--json").output == ""


def test_a_long_list_is_cut_and_says_so(command: Command, db: "redis.Redis[bytes]") -> None:
    bury(db, "in", 450)
    short = command("list")
    assert len(short.stdout.splitlines()) == 50
    assert "there are more" in short.stderr
    assert len(command("list", "--limit", 420).stdout.splitlines()) == 420
    assert len(lines(command("list", "--json"))) == 450
    assert len(lines(command("list", "--json", "--limit", 3))) == 3


def test_one_is_shown_with_its_traceback(command: Command, db: "redis.Redis[bytes]") -> None:
    (uuid,) = bury(db, "also/in", 1)
    (letter,) = lines(command("list", "--json"))
    shown = command("show", letter["id"])
    assert re.search(rf"^uuid +{uuid}$", shown.stdout, re.MULTILINE)
    assert shown.stdout.count("File 'link.py'") == 80
    assert lines(command("show", letter["id"], "--json"))[0]["progress"] == {"next_link": "second"}

    missing = command("show", "in:1-1")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "404: Dead letter not found" in missing.stderr


@pytest.mark.parametrize(
    ("resume", "tags"), [("failed", {"second"}), ("start", {"first", "second"})]
)
def test_a_replay_goes_on_or_begins_anew(
    command: Command, db: "redis.Redis[bytes]", server: Process, resume: str, tags: set[str]
) -> None:
    uuids = bury(db, "in", 3) + bury(db, "also/in", 2)
    bury(db, "in", 1, error="left alone")
    result = command("replay", "--from", resume, "--error", "REFUSED")
    assert (result.exit_code, result.stdout) == (0, "replayed 5 of 6\n"), result.output
    assert sorted(egress(server.url(), 5)) == sorted(uuids)
    stored = json.loads(db.get(f"vcon:{uuids[0]}") or b"")
    (attachment,) = stored["attachments"]
    assert {name for name in ("first", "second") if name in str(attachment["body"])} == tags
    assert [letter["error"] for letter in lines(command("list", "--json"))] == ["left alone"]


def test_a_replay_stops_at_its_limit(
    command: Command, db: "redis.Redis[bytes]", server: Process
) -> None:
    uuids = bury(db, "in", 1500)
    result = command("replay", "--limit", 1200)
    assert (result.exit_code, result.stdout) == (0, "replayed 1200 of 1200\n")
    assert sorted(egress(server.url(), 1200)) == sorted(uuids[:1200])
    assert len(lines(command("list", "--json"))) == 300


def test_ids_that_are_not_there_are_an_error(
    command: Command, db: "redis.Redis[bytes]", server: Process
) -> None:
    uuids = bury(db, "in", 2)
    first, second = [letter["id"] for letter in lines(command("list", "--json"))]
    result = command("replay", first, "in:1-1")
    assert (result.exit_code, result.stdout) == (1, "replayed 1 of 2\n")
    assert egress(server.url(), 1) == uuids[:1]
    result = command("purge", "--yes", second, "in:1-1")
    assert (result.exit_code, result.stdout) == (1, "purged 1 of 2\n")
    assert lines(command("list", "--json")) == []


def test_a_purge_asks_first(command: Command, db: "redis.Redis[bytes]") -> None:
    uuids = bury(db, "in", 3) + bury(db, "in", 1, stage="crash")
    refused = command("purge", "--stage", "link", answer="n\n")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Drop all dead letters with stage 'link' for good?" in refused.stderr
    assert len(lines(command("list", "--json"))) == 4

    assert command("purge", "--stage", "link", answer="y\n").stdout == "purged 3 of 4\n"
    assert [letter["uuid"] for letter in lines(command("list", "--json"))] == uuids[3:]
    assert [db.exists(f"vcon:{uuid}") for uuid in uuids] == [0, 0, 0, 1]
    assert command("purge", "--all", "--yes").stdout == "purged 1 of 1\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("purge", "--yes"),
        ("purge", "--yes", "in:1-1", "--chain", "main"),
        ("replay", "in:1-1", "--chain", "main"),
        ("replay", "--from", "middle"),
        ("list", "--limit", "0"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    command: Command, db: "redis.Redis[bytes]", arguments: tuple[str, ...]
) -> None:
    bury(db, "in", 1)
    assert command(*arguments).exit_code == 2
    assert len(lines(command("list", "--json"))) == 1


def test_a_blank_condition_is_not_everything(command: Command, db: "redis.Redis[bytes]") -> None:
    bury(db, "in", 1)
    for work in (("purge", "--yes"), ("replay",)):
        result = command(*work, "--list", "")
        assert result.exit_code == 1
        assert "422: list: Expected `str` of length >= 1" in result.stderr
    assert len(lines(command("list", "--json"))) == 1


def test_an_unknown_list_is_an_error(command: Command, db: "redis.Redis[bytes]") -> None:
    result = command("replay", "--list", "nowhere")
    assert (result.exit_code, result.stdout) == (1, "replayed 0 of 0\n")
    assert "404: Ingress list 'nowhere' is not configured" in result.stderr


def test_very_many_are_replayed_in_flat_memory_while_others_are_answered(
    command: Command, db: "redis.Redis[bytes]", server: Process
) -> None:
    uuids = bury(db, "waiting", MANY)
    before = server.peak_memory()
    answered, stop = 0, threading.Event()

    def others() -> None:
        nonlocal answered
        headers = {"x-conserver-api-token": TOKEN}
        with httpx.Client(base_url=server.url(), headers=headers, timeout=60) as client:
            while not stop.is_set():
                client.get(f"/vcon/{uuids[0]}").raise_for_status()
                answered += 1

    asking = threading.Thread(target=others)
    asking.start()
    try:
        result = command("replay", FORCE_COLOR="1", TERM="xterm", COLUMNS="120")
    finally:
        stop.set()
        asking.join()
    assert (result.exit_code, result.stdout) == (0, f"replayed {MANY} of {MANY}\n")
    assert re.search(r"100%.* 20,000 replayed", result.stderr)
    assert answered > 20
    # The letters alone take 50 MB.
    assert server.peak_memory() - before < 20_000_000
    # Its chain does not get further than the first.
    waiting = [fields[b"uuid"].decode() for _, fields in db.xrange("vconflow:list:waiting")]
    assert waiting == uuids
    assert command("list").stdout == ""


def test_a_busy_server_is_asked_again_from_where_it_was() -> None:
    def step(**members: object) -> Reply:
        answer = {"scanned": 0, "total": 9, "replayed": 0, "cursor": None, **members}
        return Reply(200, body=json.dumps(answer).encode())

    with webhook_receiver() as receiver:
        receiver.answer(
            step(cursor="begin"),
            step(cursor="next", replayed=4, scanned=5),
            Reply(503, {"Retry-After": "1"}),
            Reply(fault="reset"),
            step(replayed=3, scanned=4),
        )
        arguments = ["dead-letters", "replay", "--url", receiver.url]
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stdout) == (0, "replayed 7 of 9\n"), result.output
        sent = [json.loads(request.body) for request in receiver.received]
    assert [(wanted["limit"], wanted.get("cursor")) for wanted in sent] == [
        (0, None),
        (1000, "begin"),
        *[(1000, "next")] * 3,
    ]


def test_what_is_no_vcon_server_is_told() -> None:
    with webhook_receiver() as receiver:
        receiver.default = Reply(200, body=b"<html>")
        result = CliRunner().invoke(main, ["dead-letters", "replay", "--url", receiver.url])
    assert result.exit_code == 1
    assert "is no vCon server" in result.stderr
