"""What the README shows is taken out of it and run."""

import json
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cli_process import ROOT, START_SECONDS, Process, environment, vconflow

from vconflow import config
from vconflow.registry import BUILT_IN

README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = r"-->\n```(?:\w+)\n(?P<code>.*?)```"
SHOWN = "http://127.0.0.1:8000"


def example(name: str) -> str:
    """The block that is marked as the content of a file."""
    found = re.search(rf"<!-- example: {re.escape(name)} {FENCE}", README, re.DOTALL)
    assert found, f"README has no example {name}"
    return found["code"]


def commands(name: str) -> list[str]:
    """The commands of the block that is marked to be run."""
    found = re.search(rf"<!-- run: {re.escape(name)} {FENCE}", README, re.DOTALL)
    assert found, f"README has no commands {name}"
    return [f"curl {command}" for command in re.split(r"^curl ", found["code"], flags=re.M)[1:]]


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """A folder with the files of the README's examples."""
    names = re.findall(r"<!-- example: (\S+) -->", README)
    assert len(names) == 7
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "__init__.py").touch()
    for name in names:
        (tmp_path / name).write_text(example(name), encoding="utf-8")
    return tmp_path


# The examples of a link and a storage


def test_the_link_and_the_storage_pass_their_contracts(acme: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-o", "asyncio_mode=auto"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", acme, "acme"],
        cwd=acme,
        env=environment({"PYTHONPATH": f"{acme}:{ROOT / 'src'}"}),
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > 20
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("name", ["link.yml", "storage.yml"])
def test_their_configurations_have_no_error(
    acme: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(acme)
    assert not config.load(acme / name, {}).warnings


def test_the_link_runs_in_a_server(acme: Path) -> None:
    long, short = vcon(1, "Hello Bo!"), vcon(2, "Hello!")
    with served(acme, "link.yml") as url:
        post(url, long, "to_count")
        post(url, short, "to_count")
        assert finished(url, "counted") == [long["uuid"]]
        analysis = httpx.get(f"{url}/vcon/{long['uuid']}").json()["analysis"]
        assert [item["body"] for item in analysis] == [{"words": 2}]


def test_the_storage_keeps_what_a_server_gives_it(acme: Path) -> None:
    sent = vcon(3, "Hello Bo!")
    with served(acme, "storage.yml") as url:
        body = post(url, sent, "to_keep")
        assert finished(url, "kept") == [sent["uuid"]]
        with sqlite3.connect(acme / "conversations.db") as database:
            rows = database.execute("SELECT uuid, document FROM vcons").fetchall()
        database.close()
        assert rows == [(sent["uuid"], body)]


# The other examples


def test_the_configuration_has_no_error() -> None:
    loaded = config.parse(example("config.yml"), {})
    assert not loaded.warnings
    assert loaded.chains["main"].storages == ("archive", "database")


def test_every_component_is_in_a_table_with_its_extra() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \|(.*)$", README, re.MULTILINE))
    names = {name: target for named in BUILT_IN.values() for name, target in named.items()}
    del names["links.deepgram"]  # an older name of links.deepgram_link
    missing = [
        name
        for name, target in names.items()
        if name not in rows or (target.extra and f"`{target.extra}`" not in rows[name])
    ]
    assert missing == []
    assert not [name for name in rows if name.startswith("links.") and name not in names]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """What `make run` starts."""
    with vconflow(tmp_path_factory.mktemp("demo"), "demo", "--port", "0") as process:
        process.wait_for("Ctrl-C stops the server")
        yield process


def test_the_curl_commands_work_in_order(demo: Process) -> None:
    url = demo.url()
    uuid = "019d1000-0000-8000-8000-000000000001"
    assert json.loads(run("post", url)[0])["uuid"] == uuid
    until_done(url, 25)
    assert "source:demo" in run("get", url)[0]
    found, newest = run("search", url)
    assert json.loads(found) == [uuid]
    assert json.loads(newest)[0] == uuid
    count, fetched = run("egress", url)
    assert int(count) == 25
    assert len(json.loads(fetched)) == 2
    ready, metrics = run("state", url)
    assert json.loads(ready)["status"] == "ready"
    assert "vconflow_accepted_total" in metrics
    refused = json.loads(run("refused 422", url, status="422")[0])
    assert refused["detail"][0]["loc"] == ["body", "dialog", 0, "parties", 0]
    assert run("delete", url) == [""]
    assert httpx.get(f"{url}/vcon/{uuid}").status_code == 404


def test_what_the_demo_says_to_try_next_works(demo: Process) -> None:
    shown = [line.strip() for line in demo.stdout.splitlines() if line.startswith("  curl ")]
    assert len(shown) == 5
    for command in shown:
        assert curl(command)[0].startswith("2"), command


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "deploy/README.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=str,
)
def test_a_page_links_to_nothing_that_is_not_there(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_names_no_path_that_is_not_there() -> None:
    for path in re.findall(r"`((?:src|tests)/[\w./]*)`", README):
        assert (ROOT / path).exists(), path


def test_the_readme_links_to_every_page_of_the_documents() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert [page for page in pages if f"]({page})" not in README] == []


def anchors(page: Path) -> set[str]:
    """The headings as GitHub makes anchors of them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


# Helpers


def run(name: str, url: str, status: str = "2") -> list[str]:
    """Run the commands of a block against a server; the bodies of the answers."""
    bodies = []
    for command in commands(name):
        assert SHOWN in command
        answered, body = curl(command.replace(SHOWN, url))
        assert answered.startswith(status), (command, answered, body)
        bodies.append(body)
    return bodies


def curl(command: str) -> tuple[str, str]:
    """Run a command as it stands in the text; the status and the body of the answer."""
    report = ["-sS", "-w", r"\n%{http_code}"]
    done = subprocess.run(
        ["bash", "-c", f"{command.rstrip()} {shlex.join(report)}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return status, body


@contextmanager
def served(folder: Path, name: str) -> Iterator[str]:
    """Run `PYTHONPATH=. vconflow serve --config NAME` in a folder; its address."""
    env = {"PYTHONPATH": f".:{ROOT / 'src'}"}
    with vconflow(folder, "serve", "--config", name, "--port", "0", env=env) as server:
        yield server.url()
        assert server.stop() == 0


def vcon(number: int, text: str) -> dict[str, object]:
    return {
        "vcon": "0.4.0",
        "uuid": f"019d1000-0000-8000-8000-0000000001{number:02}",
        "created_at": "2026-03-22T10:00:00Z",
        "parties": [{"name": "Ada"}],
        "dialog": [
            {"type": "text", "parties": [0], "mediatype": "text/plain", "body": text},
        ],
    }


def post(url: str, document: dict[str, object], name: str) -> bytes:
    body = json.dumps(document).encode()
    httpx.post(f"{url}/vcon?ingress_list={name}", content=body).raise_for_status()
    return body


def finished(url: str, name: str) -> list[str]:
    """Wait for the first uuids of a list."""
    deadline = time.monotonic() + START_SECONDS
    while not (uuids := httpx.get(f"{url}/vcon/egress?egress_list={name}&limit=9").json()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return list(uuids)


def until_done(url: str, count: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while httpx.get(f"{url}/vcon/count?egress_list=finished").json() < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
