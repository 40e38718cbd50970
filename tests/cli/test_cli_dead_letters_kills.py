"""A replay and a purge whose server is killed in the middle, and comes back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from cli_dead_letters import CONFIG, TOKEN, egress
from cli_process import START_SECONDS, Process, vconflow

from vconflow.testing.dead_letters import bury
from vconflow.testing.servers import free_port

COUNT = 10_000


def uuids_of(db: "redis.Redis[bytes]", key: str) -> list[str]:
    return [fields[b"uuid"].decode() for _, fields in db.xrange(key)]


def wait_until_it_works(db: "redis.Redis[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while db.xlen("vconflow:dead:in") > COUNT * 9 // 10:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def db(valkey_url: str) -> "Iterator[redis.Redis[bytes]]":
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.mark.parametrize("work", ["replay", "purge"])
def test_kill_9_leaves_each_letter_either_dead_or_on_its_list(
    tmp_path: Path, valkey_url: str, db: "redis.Redis[bytes]", work: str
) -> None:
    uuids = bury(db, "in", COUNT)
    (tmp_path / "config.yml").write_text(CONFIG)
    (tmp_path / "cli").mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {"REDIS_URL": valkey_url, "CONSERVER_API_TOKEN": TOKEN, "VCONFLOW_LEASE_SECONDS": "1"}
    client_env = {"VCONFLOW_URL": url, "CONSERVER_API_TOKEN": TOKEN}
    serve = ("serve", "--port", str(port))
    command = ("dead-letters", work, "--attempts", "100", "--list", "in")
    options = ("--yes",) if work == "purge" else ()

    def check() -> None:
        """Nobody works now: every uuid is in one place."""
        dead = uuids_of(db, "vconflow:dead:in")
        moved = uuids_of(db, "vconflow:list:in") + uuids_of(db, "vconflow:list:out")
        documents = db.mget([f"vcon:{uuid}" for uuid in uuids])
        if work == "purge":
            assert moved == []
            kept = [uuid for uuid, held in zip(uuids, documents, strict=True) if held]
            assert kept == dead
        else:
            assert sorted(dead + moved) == sorted(uuids)
            assert all(documents)
        assert 0 < len(dead) < COUNT

    def finish(running: Process) -> None:
        assert running.wait() == 0, running.stderr

    with vconflow(tmp_path, *serve, env=env) as server:
        server.url()
        with vconflow(tmp_path / "cli", *command, *options, env=client_env) as running:
            wait_until_it_works(db)
            server.kill()
            check()
            with vconflow(tmp_path, *serve, env=env) as again:
                again.url()
                finish(running)
                assert uuids_of(db, "vconflow:dead:in") == []
                if work == "replay":
                    assert sorted(egress(url, COUNT)) == sorted(uuids)
                else:
                    assert db.exists(*(f"vcon:{uuid}" for uuid in uuids)) == 0
