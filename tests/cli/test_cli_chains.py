"""`vconflow chains` and `vconflow events` against a real server on a real Redis."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from cli_dead_letters import TOKEN, served
from cli_process import Process, vconflow
from click.testing import CliRunner, Result

from vconflow.cli import main
from vconflow.client import Client
from vconflow.testing import servers

Command = Callable[..., Result]
VCON = {"vcon": "0.0.1", "created_at": "2025-01-01T00:00:00Z", "parties": [], "dialog": []}


@pytest.fixture(scope="module")
def server(
    valkey_server: servers.RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """One server for all tests of this file."""
    with served(tmp_path_factory.mktemp("server"), valkey_server.url) as process:
        yield process


@pytest.fixture
def command(server: Process) -> Command:
    env = {"VCONFLOW_URL": server.url(), "CONSERVER_API_TOKEN": TOKEN}

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(main, arguments, env={**env, **more})

    return run


def test_chains_are_listed_paused_and_resumed(command: Command) -> None:
    for what, state in (("pause", "paused"), ("pause", "paused"), ("resume", "running")):
        assert command("chains", what, "main").exit_code == 0
        (main_line, _) = command("chains").output.splitlines()
        assert main_line.split("\t")[:3] == ["main", state, "0"]
    listed = [json.loads(line) for line in command("chains", "--json").output.splitlines()]
    assert [chain["name"] for chain in listed] == ["main", "waiting"]


def test_what_cannot_be_done_is_told(command: Command) -> None:
    unknown = command("chains", "pause", "a/b")
    assert (unknown.exit_code, "Chain 'a/b' is not configured" in unknown.output) == (1, True)
    for name in ("chains", "events"):
        refused = command(name, CONSERVER_API_TOKEN="wrong")
        assert (refused.exit_code, "403" in refused.output) == (1, True)
        away = command(name, "--attempts", "1", VCONFLOW_URL="http://127.0.0.1:1")
        assert away.exit_code == 1
        assert "Traceback" not in away.output
    assert command("events", "--type", "nonsense").exit_code == 2


async def post_until_heard(server: Process, heard: threading.Event) -> None:
    async with httpx.AsyncClient(
        base_url=server.url(), headers={"x-conserver-api-token": TOKEN}
    ) as http:
        number = 0
        while not heard.is_set():
            number += 1
            uuid = f"00000000-0000-4000-8000-{number:012}"
            answer = await http.post("/vcon?ingress_lists=in", json={**VCON, "uuid": uuid})
            answer.raise_for_status()
            await asyncio.sleep(0.1)


async def test_the_client_hears_events(server: Process) -> None:
    heard = threading.Event()
    async with Client.open(server.url(), token=TOKEN) as client:
        posting = asyncio.create_task(post_until_heard(server, heard))
        events = client.events([("type", "completed"), ("chain", "main")])
        async with asyncio.timeout(30):
            name, data = await anext(events)
        heard.set()
        await posting
        await events.aclose()
    assert (name, data["chain"]) == ("completed", "main")


async def test_events_are_printed_while_they_happen(
    server: Process, tmp_path_factory: pytest.TempPathFactory
) -> None:
    heard, folder = threading.Event(), tmp_path_factory.mktemp("tail")
    arguments = ("events", "--type", "completed", "--json", "--url", server.url())
    with vconflow(folder, *arguments, env={"CONSERVER_API_TOKEN": TOKEN}) as tail:
        posting = asyncio.create_task(post_until_heard(server, heard))
        await asyncio.to_thread(tail.wait_for, "\n")
        heard.set()
        await posting
        events = [json.loads(line) for line in tail.stdout.splitlines()]
    assert {event["type"] for event in events} == {"completed"}
    assert events[0]["chain"] == "main"
