"""`vconflow submit` against a loopback server that records, refuses and fails on request."""

import io
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from vconflow.cli import main, progress, sources
from vconflow.cli.submission import Rejection, Tally
from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

CREATED = Reply(201)
REFUSAL = {"detail": [{"loc": ["body", "dialog", 0, "type"], "msg": "a dialog needs a type"}]}
REFUSED = Reply(422, {"Content-Type": "application/json"}, json.dumps(REFUSAL).encode())

Submit = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        receiver.default = CREATED
        yield receiver


@pytest.fixture
def submit(server: WebhookReceiver) -> Submit:
    def run(*arguments: object, **env: str) -> Result:
        base = ["submit", "--list", "main", "--concurrency", "1"]
        environment = {"VCONFLOW_URL": server.url, **env}
        return CliRunner().invoke(main, [*base, *map(str, arguments)], env=environment)

    return run


def bodies(server: WebhookReceiver) -> list[bytes]:
    return [request.body for request in server.received]


def test_files_folders_and_lines_are_sent_in_order_as_they_are(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.json").write_bytes(b'{ "a": 1 }\n')
    (tmp_path / "b" / "two.vcon").write_bytes(b'{"b": 2}')
    (tmp_path / "b" / "lines.ndjson").write_bytes(b'{"c": 3}\n\n  {"d": 4}')
    (tmp_path / "b" / "more.JSONL").write_bytes(b'{"e": 5}\r\n')
    (tmp_path / "notes.txt").write_bytes(b"not a vCon")

    result = submit(tmp_path)

    assert result.exit_code == 0, result.output
    assert bodies(server) == [b'{ "a": 1 }\n', b'{"c": 3}', b'{"d": 4}', b'{"e": 5}', b'{"b": 2}']
    assert {request.path for request in server.received} == {"/vcon?ingress_lists=main"}
    assert result.stdout == "accepted 5, rejected 0\n"


def test_a_named_file_is_sent_whatever_its_name(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    (tmp_path / "upload").write_bytes(b"{}")
    assert submit(tmp_path / "upload").exit_code == 0
    assert bodies(server) == [b"{}"]


def test_a_rejected_vcon_is_named_with_its_line_and_reason(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    lines = tmp_path / "lines.ndjson"
    lines.write_bytes(b"{}\n{}\n{}\n")
    server.answer(CREATED, REFUSED, CREATED)

    result = submit(lines)

    assert result.exit_code == 1
    assert len(server.received) == 3
    assert "accepted 2, rejected 1" in result.stdout
    assert f"rejected {lines}:2: 422 dialog.0.type: a dialog needs a type\n" in result.stderr
    assert f"1 x 422: dialog.0.type: a dialog needs a type (first at {lines}:2)" in result.stdout


def test_a_terminal_shows_a_bar_and_a_table(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    lines = tmp_path / "lines.ndjson"
    lines.write_bytes(b"{}\n" * 30)
    server.answer(CREATED, *(Reply(422, body=b'{"detail": "[%d]"}' % n) for n in range(25)))

    result = submit(lines, FORCE_COLOR="1", TERM="xterm", COLUMNS="200")

    assert result.exit_code == 1
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", result.stderr).splitlines()[-1]
    assert re.search(r"━ 100% 5 accepted 25 rejected \S+/s ETA 0:00:00", last), last
    assert f"rejected {lines}:2: 422 [0]" in result.stderr
    assert re.search(r"│ 1 +│ 422 +│ \[19\] +│ \S+lines.ndjson:21 +│", result.stdout)
    assert "and 5 more reasons" in result.stdout


def test_more_reasons_than_anyone_reads_are_counted_together() -> None:
    tally = Tally()
    for number in range(500):
        tally.reject(Rejection(f"file:{number}", 422, f"reason {number}"))
    assert tally.rejected == sum(tally.reasons.values()) == 500
    assert len(tally.reasons) == 101
    assert tally.first[0, "other reasons"] == "file:100"


def test_a_long_submission_says_how_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    output = io.StringIO()
    with progress.showing(200, Console(file=output)) as observer:
        observer.done(sources.Found("a", b"", 50), Tally(accepted=1), None)
        observer.done(sources.Found("b", b"", 100), Tally(accepted=2), None)
    first, second = output.getvalue().splitlines()
    assert first.startswith("25%: 1 accepted, 0 rejected, ")
    assert second.startswith("75%: 2 accepted, 0 rejected, ")


def test_a_busy_or_broken_server_is_asked_again(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    (tmp_path / "one.json").write_bytes(b"{}")
    busy = Reply(503, {"Retry-After": "1"}, b'{"detail": "stopping"}')
    server.answer(busy, Reply(429), Reply(fault="reset"), CREATED)

    result = submit(tmp_path)

    assert result.exit_code == 0, result.output
    assert bodies(server) == [b"{}"] * 4
    assert "accepted 1, rejected 0" in result.stdout


def test_an_error_of_the_server_is_no_reason_to_stop(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    (tmp_path / "lines.ndjson").write_bytes(b"{}\n{}\n")
    server.answer(Reply(500, body=b"<html>"), CREATED)
    result = submit(tmp_path)
    assert result.exit_code == 1
    assert "accepted 1, rejected 1" in result.stdout
    assert "lines.ndjson:1: 500 Internal Server Error" in result.stderr


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(403, body=b'{"detail": "Invalid API Key"}'), "403: Invalid API Key"),
        (Reply(404, body=b'{"detail": "no list"}'), "404: no list"),
    ],
)
def test_what_no_other_vcon_could_change_ends_it(
    tmp_path: Path, server: WebhookReceiver, submit: Submit, reply: Reply, said: str
) -> None:
    (tmp_path / "lines.ndjson").write_bytes(b"{}\n" * 50)
    server.answer(CREATED)
    server.default = reply
    result = submit(tmp_path)
    assert result.exit_code == 1
    assert len(server.received) == 2
    assert "accepted 1, rejected 0" in result.stdout
    assert f"stopped before the end: {said}" in result.stderr


def test_without_a_server_it_gives_up_and_says_so(tmp_path: Path, submit: Submit) -> None:
    with webhook_receiver() as gone:
        url = gone.url
    (tmp_path / "one.json").write_bytes(b"{}")
    result = submit(tmp_path, "--url", url, "--attempts", 2)
    assert result.exit_code == 1
    assert "stopped before the end: gave up after 2 attempts" in result.stderr
    assert url in result.stderr


def test_the_token_is_sent_and_never_shown(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    (tmp_path / "one.json").write_bytes(b"{}")
    env = {"CONSERVER_API_TOKEN": "wordofpass", "CONSERVER_HEADER_NAME": "x-key"}
    result = submit(tmp_path, **env)
    assert server.received[0].headers["x-key"] == "wordofpass"
    assert "wordofpass" not in result.output


def test_many_at_a_time_send_each_once(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    lines = [b'{"n": %d}' % number for number in range(300)]
    (tmp_path / "lines.ndjson").write_bytes(b"\n".join(lines))
    result = submit(tmp_path, "--concurrency", "8")
    assert result.exit_code == 0, result.output
    assert sorted(bodies(server)) == sorted(lines)


def test_what_is_too_long_is_rejected_unread(
    tmp_path: Path, server: WebhookReceiver, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LONGEST", 10)
    (tmp_path / "lines.ndjson").write_bytes(b'{"a": 1}\n' + b"x" * 35 + b'\n{"b": 2}\n')
    (tmp_path / "whole.json").write_bytes(b" " * 11)
    result = submit(tmp_path)
    assert result.exit_code == 1
    assert bodies(server) == [b'{"a": 1}', b'{"b": 2}']
    assert "lines.ndjson:2: longer than 10 bytes" in result.stderr
    assert "whole.json: longer than 10 bytes" in result.stderr


def test_reading_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    large = tmp_path / "large.ndjson"
    line = b'{"body": "' + b"x" * 10_000 + b'"}\n'
    with large.open("wb") as file:
        for _ in range(5_000):
            file.write(line)
    tracemalloc.start()
    count = sum(1 for _ in sources.read(sources.find([large])))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 5_000
    assert peak < 1_000_000


@pytest.mark.parametrize("name", ["", " ", ",", " , "])
def test_no_list_at_all_is_a_usage_error(tmp_path: Path, submit: Submit, name: str) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    result = submit("--list", name, tmp_path)
    assert result.exit_code == 2
    assert "names no list" in result.stderr


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path, submit: Submit) -> None:
    result = submit(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


@pytest.mark.parametrize("status", [200, 204, 302])
def test_what_is_no_vcon_server_has_accepted_nothing(
    tmp_path: Path, server: WebhookReceiver, submit: Submit, status: int
) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    server.default = Reply(status)
    result = submit(tmp_path)
    assert result.exit_code == 1
    assert "accepted 0" in result.stdout
    assert f"is no vCon server: it answers {status}" in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://u:hidden@x",
        "http://x:port",
        "http://u:hidden#x@127.0.0.1:8000",
        "http://127.0.0.1:99999",
        "http://",
        "http://xn--",
        "http://\0",
        "",
    ],
)
def test_an_address_that_cannot_be_one_is_not_tried_again(
    tmp_path: Path, submit: Submit, url: str
) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    result = submit("--url", url, tmp_path)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "not a URL of a server: expected http://host:port" in result.stderr
    assert "attempts" not in result.output
    assert "hidden" not in result.output


def test_a_server_that_is_away_is_named_without_the_password(
    tmp_path: Path, submit: Submit
) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    url = "http://me:hidden@127.0.0.1:1"
    result = submit("--url", url, "--attempts", 1, tmp_path)
    assert "gave up after 1 attempts: http://127.0.0.1:1:" in result.stderr
    assert "hidden" not in result.output


def test_keys_of_any_script_are_sent_and_impossible_ones_not_quoted(
    tmp_path: Path, server: WebhookReceiver, submit: Submit
) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    assert submit(tmp_path, CONSERVER_API_TOKEN="schlüssel\n").exit_code == 0
    sent = server.received[0].headers["x-conserver-api-token"]
    assert sent.encode("latin-1").decode() == "schlüssel"
    result = submit(tmp_path, CONSERVER_API_TOKEN="hidden\nkey")
    assert (result.exit_code, "hidden" in result.output) == (1, False)
    assert "no header can carry this API key" in result.stderr


def test_nothing_to_send_is_said(tmp_path: Path, submit: Submit) -> None:
    (tmp_path / "notes.txt").write_bytes(b"not a vCon")
    result = submit(tmp_path)
    assert (result.exit_code, result.stdout) == (0, "accepted 0, rejected 0\n")
    assert "nothing to send" in result.stderr
