"""The requests of known clients, byte for byte, against a real process."""

import asyncio
import gzip
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from vconflow_process import VconflowProcess, vconflow
from wire import REQUESTS, Reply, Wire, exchange, head, json_kwarg

from vconflow.testing.servers import RedisServer

KEY = "the key of the adapters"
AUTH = ("x-conserver-api-token", KEY)
JSON = ("Content-Type", "application/json")
PARTNER = ("x-conserver-api-token", "the key of a partner")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, valkey_server: RedisServer
) -> Iterator[VconflowProcess]:
    """One process for all requests of this file; lists `a` and `b` end in `done_a`, `done_b`."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    config = {
        "chains": {
            name: {"ingress_lists": [name], "egress_lists": [f"done_{name}"]} for name in "ab"
        },
        "ingress_auth": {"a": PARTNER[1]},
    }
    folder = tmp_path_factory.mktemp("clients")
    with asyncio.Runner() as runner:
        started = vconflow(folder, config, REDIS_URL=valkey_server.url, CONSERVER_API_TOKEN=KEY)

        async def enter() -> VconflowProcess:
            return await started.__aenter__()

        async def leave() -> None:
            await started.__aexit__(None, None, None)

        process = runner.run(enter())
        try:
            yield process
        finally:
            runner.run(leave())


@pytest.fixture(params=["", "/api"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def conversation(**members: Any) -> dict[str, Any]:
    """As adapters build them: in no order of ours."""
    return {
        "parties": [{"tel": "+12125550177", "name": "Ada"}, {"mailto": "bo@example.com"}],
        "dialog": [
            {"type": "text", "start": "2026-03-22T10:00:00+00:00", "parties": [0, 1],
             "mimetype": "text/plain", "body": "Grüße — ☎", "encoding": "none"}
        ],
        "analysis": [],
        "attachments": [],
        "vcon": "0.0.1",
        "uuid": str(uuid4()),
        "created_at": "2026-03-22T10:00:00.123456+00:00",
        "redacted": {},
        "appended": None,
        "group": [],
    } | members  # fmt: skip


def post(
    server: VconflowProcess, target: str, document: dict[str, Any], *headers: tuple[str, str]
) -> Reply:
    return exchange(server.url, "POST", target, AUTH, *headers, JSON, body=json_kwarg(document))


def handed_out(server: VconflowProcess, name: str, uuid: str) -> None:
    """Pop a list until the uuid comes."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        reply = exchange(server.url, "GET", f"/vcon/egress?egress_list={name}&limit=1", AUTH)
        assert reply.status == 200
        if uuid in reply.json:
            return
        time.sleep(0.01 if not reply.json else 0)
    raise AssertionError(f"{uuid} did not come out of {name}")


@pytest.mark.parametrize("path", ["/vcon", "/vcons", "/vcon/"])
@pytest.mark.parametrize(
    ("query", "headers", "lists"),
    [
        ("?ingress_lists=a&ingress_lists=b", (), "ab"),
        ("?ingress_lists=a,b", (), "ab"),
        ("?ingress_lists=a%2Cb", (), "ab"),
        ("?ingress_lists=a%2C+b", (), "ab"),
        ("?ingress_list=a", (), "a"),
        ("?ingress_list=a&ingress_lists=b", (), "ab"),
        ("", (("ingress_list", "a"),), "a"),
        ("", (("ingress_lists", "a, b"),), "ab"),
        ("", (("Ingress-List", "b"),), "b"),
        ("", (), ""),
    ],
)
def test_lists_named_in_every_way(
    server: VconflowProcess,
    prefix: str,
    path: str,
    query: str,
    headers: tuple[tuple[str, str], ...],
    lists: str,
) -> None:
    document = conversation()
    reply = post(server, f"{prefix}{path}{query}", document, *headers)
    assert reply.status == 201, reply.body
    assert reply.json == document
    for name in lists:
        handed_out(server, f"done_{name}", document["uuid"])
    stored = exchange(server.url, "GET", f"{prefix}/vcon/{document['uuid']}", AUTH)
    assert stored.body == json_kwarg(document)


def test_stored_first_and_put_on_a_list_later(server: VconflowProcess, prefix: str) -> None:
    document, other = conversation(), str(uuid4())
    assert post(server, f"{prefix}/vcon", document).status == 201
    body = json_kwarg([document["uuid"], other])
    target = f"{prefix}/vcon/ingress?ingress_list=a"
    reply = exchange(server.url, "POST", target, AUTH, JSON, body=body)
    assert (reply.status, reply.body, reply.headers["x-skipped"]) == (204, b"", "1")
    handed_out(server, "done_a", document["uuid"])


def test_a_uuid_is_found_however_it_is_written(server: VconflowProcess) -> None:
    uuid = str(uuid4())
    document = conversation(uuid=uuid.upper())
    assert post(server, "/vcon?ingress_lists=a", document).json["uuid"] == uuid.upper()
    handed_out(server, "done_a", uuid)
    for spelling in (uuid, uuid.upper(), f"{uuid}/"):
        reply = exchange(server.url, "GET", f"/vcon/{spelling}", AUTH)
        assert (reply.status, reply.json) == (200, document)
    body = json_kwarg([uuid.upper()])
    reply = exchange(server.url, "POST", "/vcon/ingress?ingress_list=b", AUTH, JSON, body=body)
    assert (reply.status, reply.headers["x-skipped"]) == (204, "0")
    handed_out(server, "done_b", uuid)


def test_a_partner_posts_to_its_list(server: VconflowProcess, prefix: str) -> None:
    document = conversation()
    target, body = f"{prefix}/vcon/external-ingress?ingress_list=", json_kwarg(document)
    assert exchange(server.url, "POST", f"{target}a", PARTNER, JSON, body=body).status == 204
    handed_out(server, "done_a", document["uuid"])
    refused = {
        ("a",): "API Key required",
        ("a", AUTH): "Invalid API Key for ingress list 'a'",
        ("b", PARTNER): "Ingress list 'b' not configured",
    }
    for (name, *key), detail in refused.items():
        reply = exchange(server.url, "POST", f"{target}{name}", *key, JSON, body=body)  # type: ignore[arg-type]
        assert (reply.status, reply.json) == (403, {"detail": detail})
    assert exchange(server.url, "GET", f"{prefix}/vcon", PARTNER).status == 403


def test_a_large_body_waits_to_be_asked_for(server: VconflowProcess) -> None:
    """`Expect: 100-continue`, as curl and others send it with more than a megabyte."""
    document = conversation(subject="x" * 2_000_000)
    body = json_kwarg(document)
    sized = ("Content-Length", str(len(body)))
    with closing(Wire(server.url)) as wire:
        wire.send(head("POST", "/vcon", wire.host, AUTH, JSON, sized, ("Expect", "100-continue")))
        assert wire.read().status == 100
        wire.send(body)
        reply = wire.read()
    assert (reply.status, reply.body == body) == (201, True)


def test_a_body_that_nobody_may_send_is_not_asked_for(server: VconflowProcess) -> None:
    with closing(Wire(server.url)) as wire:
        expect = ("Expect", "100-continue")
        wire.send(head("POST", "/vcon", wire.host, JSON, ("Content-Length", "9"), expect))
        assert (wire.read().status) == 403


def test_a_generator_is_sent_in_chunks(server: VconflowProcess) -> None:
    body = json_kwarg(conversation())
    with closing(Wire(server.url)) as wire:
        chunked = ("Transfer-Encoding", "chunked")
        wire.send(head("POST", "/api/vcon", wire.host, *REQUESTS, AUTH, JSON, chunked))
        for start in range(0, len(body), 100):
            part = body[start : start + 100]
            wire.send(b"%x\r\n%s\r\n" % (len(part), part))
        wire.send(b"0\r\n\r\n")
        reply = wire.read()
    assert (reply.status, reply.body) == (201, body)


def test_a_session_reuses_its_connection(server: VconflowProcess) -> None:
    with closing(Wire(server.url)) as wire:
        for number in range(3):
            body = json_kwarg(conversation(subject=str(number)))
            sized = ("Content-Length", str(len(body)))
            wire.send(head("POST", "/vcon", wire.host, *REQUESTS, AUTH, JSON, sized) + body)
            assert wire.read().status == 201
        wire.send(
            head("POST", "/vcon", wire.host, *REQUESTS, JSON, ("Content-Length", "2")) + b"{}"
        )
        assert wire.read().status == 403
    with closing(Wire(server.url)) as wire:
        wire.send(head("GET", "/health", wire.host, ("Connection", "close")))
        assert wire.read().status == 200
        assert wire.is_closed()


def test_http_1_0_with_and_without_keep_alive(server: VconflowProcess) -> None:
    body = json_kwarg(conversation())
    sized = ("Content-Length", str(len(body)))
    with closing(Wire(server.url)) as wire:
        keep = ("Connection", "Keep-Alive")
        for _ in range(2):
            wire.send(
                head("POST", "/vcon", wire.host, AUTH, JSON, sized, keep, version="1.0") + body
            )
            reply = wire.read()
            assert (reply.status, reply.body) == (201, body)
            if reply.headers.get("connection", "").lower() != "keep-alive":
                assert wire.is_closed()
                break
    with closing(Wire(server.url)) as wire:
        wire.send(head("POST", "/vcon", wire.host, AUTH, JSON, sized, version="1.0") + body)
        assert wire.read().status == 201
        assert wire.is_closed()


@pytest.mark.parametrize(
    ("headers", "pack"),
    [
        ((("Content-Encoding", "gzip"), JSON), gzip.compress),
        ((("Content-Type", "application/json; charset=utf-8"),), bytes),
        ((("Content-Type", "application/vcon+json"),), bytes),
        ((), bytes),
    ],
)
def test_bodies_in_every_wrapping(
    server: VconflowProcess, headers: tuple[tuple[str, str], ...], pack: Any
) -> None:
    body = json_kwarg(conversation())
    reply = exchange(server.url, "POST", "/vcon", AUTH, *headers, body=pack(body))
    assert (reply.status, reply.body) == (201, body)


def test_curl(server: VconflowProcess, tmp_path: Path) -> None:
    """Without -H, curl calls its body a form. That is refused, and said what to send instead."""
    document = conversation()
    file = tmp_path / "a.json"
    file.write_bytes(json_kwarg(document))
    command = [
        "curl", "-s", "-X", "POST", f"{server.url}/api/vcon?ingress_lists=a",
        "-H", f"{AUTH[0]}: {KEY}", "-w", "\n%{http_code}",
    ]  # fmt: skip

    def run(*arguments: str) -> tuple[str, str]:
        done = subprocess.run([*command, *arguments], capture_output=True, check=True, text=True)
        text, _, status = done.stdout.rpartition("\n")
        return status, text

    status, told = run("-d", f"@{file}")
    assert status == "415"
    assert "application/json" in json.loads(told)["detail"]
    assert run("-H", "Content-Type: application/json", "-d", f"@{file}")[0] == "201"
    assert run("--json", f"@{file}") == ("201", file.read_text())
    handed_out(server, "done_a", document["uuid"])


def test_refusals_say_what_clients_look_for(server: VconflowProcess) -> None:
    good = conversation()
    wrong = ("x-conserver-api-token", "another key")
    reply = exchange(server.url, "POST", "/vcon", wrong, JSON, body=json_kwarg(good))
    assert (reply.status, reply.json) == (403, {"detail": "Invalid API Key"})
    reply = post(server, "/vcon?ingress_lists=nowhere", good)
    assert (reply.status, reply.json["detail"]) == (404, "Ingress list 'nowhere' is not configured")
    reply = exchange(server.url, "GET", f"/vcon/{uuid4()}", AUTH)
    assert (reply.status, reply.json) == (404, {"detail": "vCon not found"})
    secret = "what Ada said"
    reply = post(server, "/vcon", good | {"uuid": "no uuid", "parties": secret})
    assert reply.status == 422
    places = [problem["loc"] for problem in reply.json["detail"]]
    assert ["body", "uuid"] in places
    assert all(problem.keys() >= {"loc", "msg", "type"} for problem in reply.json["detail"])
    assert secret not in reply.body.decode()
    for name in ("x-vcon-server-version", "x-vcon-server-commit", "x-request-id"):
        assert reply.headers[name]
