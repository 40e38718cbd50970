"""What a conserver left arrives, as it was, and where it belongs."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from conserver_data import Conserver, named, samples, uuids_of
from migrating import contents, documents, either_format, entries, letters, run_migrate
from redis import Redis

from vconflow.testing.servers import RedisServer

COUNT = 1200
TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_everything_arrives(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver,
    shared_data: Path,
) -> None:  # fmt: skip
    vcons = samples(shared_data, COUNT)
    first, second, third = vcons[:900], vcons[900:1000], vcons[1000:]
    for vcon in first:
        conserver.post(vcon, ["in"], TRACE if vcon is first[0] else "")
    for vcon in second:
        conserver.post(vcon)
        conserver.bury(vcon["uuid"], "in")
    for vcon in third:
        conserver.post(vcon)
        conserver.hand_on(vcon["uuid"], "out")
    conserver.recache(cached := named("Jörg 🎧"))
    everything = uuids_of([*vcons, cached])
    before = documents(conserver, everything)
    gone = str(uuid4())
    client.rpush("in", gone)
    code, stdout, stderr = run_migrate(tmp_path / "one", redis_json.url, "--yes")

    assert (code, stderr.count("error")) == (0, 0), stdout + stderr
    assert entries(client, "in") == [*uuids_of(first), gone]
    assert entries(client, "out") == uuids_of(third)
    assert [letter["uuid"] for letter in letters(client, "in")] == uuids_of(second)
    assert {uuid: client.get(f"vcon:{uuid}") for uuid in everything} == before
    assert json.loads(before[cached["uuid"]]) == cached
    assert 3500 < client.ttl(f"vcon:{cached['uuid']}") <= 3600
    assert client.ttl(f"vcon:{second[0]['uuid']}") == -1, "a dead letter keeps its document"
    assert sorted(client.zrange("vcons", 0, -1)) == sorted(everything)
    assert not client.exists("in", "out", "DLQ:in", f"context:in:{first[0]['uuid']}")
    [(_, entry)] = client.xrange("vconflow:list:in", count=1)
    assert entry["trace"] == f"00-{TRACE}-b7ad6b7169203331-01"
    meta = client.hgetall(f"vconflow:vcon:{first[0]['uuid']}")
    assert (meta["open"], meta["owner"]) == ("1", "")
    assert client.hget(f"vconflow:vcon:{third[0]['uuid']}", "egress") == "1"
    assert client.hget(f"vconflow:vcon:{third[0]['uuid']}", "open") is None

    code, stdout, _ = run_migrate(tmp_path / "two", redis_json.url, "--yes")
    assert (code, stdout) == (0, "nothing of a conserver is here\n")


@either_format
def test_the_search_index_stays_complete(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver
) -> None:
    here, elsewhere = named("Ann", parties=[{"name": "Ann", "tel": "tel:+15550199"}]), str(uuid4())
    conserver.post(here)
    prefixed = str(uuid4())
    client.sadd("name:Ann", elsewhere, f"vcon:{prefixed}", "no uuid")
    client.sadd("mailto:busy@example.org", *(uuids := [str(uuid4()) for _ in range(2000)]))
    assert client.type("tel:tel:+15550199") == "set"
    code, _, _ = run_migrate(tmp_path / "one", redis_json.url, "--yes")
    assert code == 1
    assert set(client.zrange("name:Ann", 0, -1)) == {here["uuid"], elsewhere, prefixed}
    assert client.zrange("tel:+15550199", 0, -1) == [here["uuid"]]
    assert not client.exists("tel:tel:+15550199", "vconflow:aside:name:Ann")
    assert set(client.zrange("mailto:busy@example.org", 0, -1)) == set(uuids)
    assert client.smembers("vconflow:refused:name:Ann") == {"no uuid"}
    assert 0 < client.ttl("name:Ann") <= 86400


def test_what_is_not_valid_is_reported_and_kept(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver
) -> None:
    wrong = named("Eve", parties="SECRET-WORDS")
    other = named("Eve")
    conserver.set(f"vcon:{wrong['uuid']}", wrong)
    conserver.set("vcon:nobody", {"a": ["SECRET-WORDS"]})
    stranger = str(uuid4())
    conserver.set(f"vcon:{stranger}", other)
    client.hset("vcon:hash", "a", "b")
    client.rpush("in", wrong["uuid"], "no uuid", stranger, b"\xff\xfe")
    kept = conserver.get(wrong["uuid"])
    code, stdout, stderr = run_migrate(tmp_path / "one", redis_json.url, "--yes")

    assert code == 1
    assert client.get(f"vcon:{wrong['uuid']}") == kept
    assert entries(client, "in") == [wrong["uuid"], stranger]
    with Redis.from_url(redis_json.url) as raw:
        assert raw.lrange("vconflow:refused:in", 0, -1) == [b"no uuid", b"\xff\xfe"]
    put_away = client.keys("vconflow:refused:vcon:*")
    assert len(put_away) == 2
    assert not client.exists("vcon:nobody", f"vcon:{stranger}")
    assert "parties: " in stdout
    assert "uuid: is not the uuid of its key" in stdout
    assert "SECRET" not in stdout + stderr
    assert client.hgetall("vcon:hash") == {"a": "b"}


def test_a_storage_that_lacks_a_vcon_is_all_that_is_left_to_do(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver
) -> None:
    conserver.post(vcon := named("Bob"))
    conserver.bury_storage(vcon["uuid"], "files")
    conserver.bury_storage(str(uuid4()), "unknown")
    assert run_migrate(tmp_path / "one", redis_json.url, "--yes")[0] == 0
    [letter] = letters(client, "in")
    rev = int(client.hget(f"vconflow:vcon:{vcon['uuid']}", "rev") or 0)
    assert (letter["stage"], letter["chain"]) == ("storage:files", "main")
    assert json.loads(letter["progress"]) == {
        "storages": ["files"], "planned": ["files"], "rev": rev
    }  # fmt: skip
    assert client.llen("DLQ:storage:unknown") == 1


@either_format
def test_a_dry_run_changes_nothing(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver,
    shared_data: Path,
) -> None:  # fmt: skip
    for vcon in samples(shared_data, 50):
        conserver.post(vcon, ["in"])
        conserver.bury(vcon["uuid"], "in")
    before = contents(redis_json.url)
    code, stdout, _ = run_migrate(tmp_path / "one", redis_json.url, "--dry-run")
    assert code == 0
    assert "ingress list in\t50\t" in stdout
    assert "dead letters DLQ:in\t50\t" in stdout
    assert contents(redis_json.url) == before


@either_format
def test_further_lists_move_when_they_are_asked_for(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver
) -> None:
    uuids = [str(uuid4()) for _ in range(3)]
    for name in ("old", "older", "DLQ:older"):
        client.rpush(name, *uuids)
    client.rpush("jobs", "a job")
    code, stdout, _ = run_migrate(tmp_path / "one", redis_json.url, "--yes")
    assert (code, "list older\t3\tstays" in stdout) == (0, True)
    assert run_migrate(tmp_path / "two", redis_json.url, "--yes", "--list", "old")[0] == 0
    assert (entries(client, "old"), client.llen("older")) == (uuids, 3)
    assert run_migrate(tmp_path / "three", redis_json.url, "--yes", "--all")[0] == 0
    assert entries(client, "older") == uuids
    assert len(letters(client, "older")) == 3
    assert client.lrange("jobs", 0, -1) == ["a job"]


def test_a_deleted_vcon_stays_deleted_and_a_new_one_begins_a_new_life(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver
) -> None:
    conserver.post(again := named("Cid"))
    for uuid in (again["uuid"], gone := str(uuid4())):
        client.hset(f"vconflow:vcon:{uuid}", mapping={"deleted": "1", "rev": "7"})
    client.rpush("in", gone)
    assert run_migrate(tmp_path / "one", redis_json.url, "--yes")[0] == 0
    meta = client.hgetall(f"vconflow:vcon:{again['uuid']}")
    assert "deleted" not in meta
    assert int(meta["rev"]) > 7
    assert client.hgetall(f"vconflow:vcon:{gone}") == {"deleted": "1", "rev": "7"}


def test_what_was_worked_on_before_is_listed_and_indexed_all_the_same(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver
) -> None:
    """A server that reads a document, or puts it on a list, gives it a revision."""
    conserver.set(f"vcon:{(vcon := named('Dan'))['uuid']}", vcon)
    meta = f"vconflow:vcon:{vcon['uuid']}"
    client.hset(meta, mapping={"rev": "7", "born": "1", "open": "1"})
    assert run_migrate(tmp_path / "one", redis_json.url, "--yes")[0] == 0
    assert client.zrange("vcons", 0, -1) == client.zrange("name:Dan", 0, -1) == [vcon["uuid"]]
    assert client.hmget(meta, "born", "open") == ["1", "1"]
    assert "nothing of a conserver" in run_migrate(tmp_path / "two", redis_json.url, "--yes")[1]


@pytest.mark.parametrize("url", ["redis://u:SECRET@127.0.0.1:1/0", "nonsense:SECRET"])
def test_errors_hide_the_password(tmp_path: Path, url: str) -> None:
    code, stdout, stderr = run_migrate(tmp_path / "one", "", "--redis-url", url, "--yes")
    assert code == 1
    assert "SECRET" not in stdout + stderr
    assert "error: " in stderr
