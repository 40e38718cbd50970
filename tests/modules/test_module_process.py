"""Modules of the reference's contract in a real process: killed, hanging, stopped."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from loading import Sender, vcons
from redis_view import redis_view, until
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.model.vcon import Vcon

THEIRS = str(Path(__file__).parent / "theirs")
COUNT = 40


def link(module: str, **options: Any) -> dict[str, Any]:
    return {"module": module, "options": options}


def config_of(folder: Path, links: dict[str, Any]) -> dict[str, Any]:
    shelf = folder / "shelf"
    shelf.mkdir(exist_ok=True)
    return {
        "links": links,
        "storages": {"shelf": link("ajax.shelf", path=str(shelf), seconds=0.02)},
        "chains": {
            "main": {
                "links": list(links),
                "storages": ["shelf"],
                "ingress_lists": ["in"],
                "egress_lists": ["out"],
            }
        },
    }


def started(
    folder: Path, config: dict[str, Any], redis_url: str, name: str = "one", **environment: str
) -> Any:
    environment = {"PYTHONPATH": THEIRS, "VCONFLOW_POISON_CRASHES": "1000", **environment}
    return vconflow(folder, config, name, REDIS_URL=redis_url, **environment)


def client_of(process: VconflowProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=process.url, timeout=30)


async def pop_each(client: httpx.AsyncClient, documents: dict[str, bytes]) -> None:
    """Pop until every vCon came; after kills some come twice."""
    popped: set[str] = set()
    while popped != documents.keys():
        popped.update(await pop_all(client, "out", 1))
        assert popped <= documents.keys()


async def check_whole(client: httpx.AsyncClient, folder: Path, documents: dict[str, bytes]) -> None:
    """Every vCon has the whole change of the link, here and where it is stored, and no half."""
    for uuid in documents:
        vcon = Vcon((await client.get(f"/vcon/{uuid}")).content)
        assert [tag for tag in vcon.tags if tag in ("begun:x", "ended:x")] == ["begun:x", "ended:x"]
        stored = Vcon((folder / "shelf" / f"{uuid}.json").read_bytes())
        assert stored.tags == vcon.tags


async def test_killed_between_two_of_its_own_writes(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """The link stores, kills its process, and would have stored more: nothing half is anywhere."""
    documents = vcons(shared_data, COUNT)
    once = tmp_path / "killed"
    links = {"bad": link("ajax.trouble", how="kill", unless=str(once))}
    config = config_of(tmp_path, links)
    with redis_view(valkey_url) as redis:
        async with started(tmp_path, config, valkey_url) as process, client_of(process) as client:
            sender = Sender(client)
            posting = asyncio.create_task(sender.post_all(documents))
            assert await process.ended() == -9
            sender.gave_up = True
            await posting
        assert redis.length("in") >= 1
        async with started(tmp_path, config, valkey_url) as process, client_of(process) as client:
            left = {item.decode() for item in redis._client.zrange("vcons", 0, -1)}
            for uuid in left:
                half = Vcon((await client.get(f"/vcon/{uuid}")).content).tags
                assert ("begun:x" in half) == ("ended:x" in half)
            sender = Sender(client)
            await sender.post_all(documents)
            await until(lambda: not redis.length("in"))
            await pop_each(client, documents)
            await check_whole(client, tmp_path, documents)


async def test_killed_again_and_again(tmp_path: Path, shared_data: Path, valkey_url: str) -> None:
    documents = vcons(shared_data, COUNT)
    calls = tmp_path / "calls"
    links = {"slow": link("ajax.trouble", how="sleep", seconds=0.1, calls=str(calls))}
    config = config_of(tmp_path, links)
    with redis_view(valkey_url) as redis:
        async with started(tmp_path, config, valkey_url) as process, client_of(process) as client:
            await Sender(client).post_all(documents)
            await process.die()
        kills = 2
        for _ in range(kills):
            begun = len(calls.read_text().split()) if calls.exists() else 0
            async with started(tmp_path, config, valkey_url) as process:
                # A link has begun in this life, and has not ended: this is where it hurts.
                await until(lambda begun=begun: len(calls.read_text().split()) > begun)
                await process.die()
        async with started(tmp_path, config, valkey_url) as process, client_of(process) as client:
            await until(lambda: not redis.length("in"))
            await pop_each(client, documents)
            await check_whole(client, tmp_path, documents)
        assert not redis.dead("in")
        assert max(Counter(calls.read_text().split()).values()) <= 2 + kills


async def test_one_that_wakes_after_its_lease_changes_nothing(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """Frozen in the middle of `run`, taken over, and awake again: its late writes are refused."""
    documents, released = vcons(shared_data, 5), tmp_path / "released"
    calls = tmp_path / "calls"
    links = {"slow": link("ajax.trouble", how="sleep", seconds=1.5, unless=str(released))}
    links["slow"]["options"]["calls"] = str(calls)
    config, short = config_of(tmp_path, links), {"VCONFLOW_LEASE_SECONDS": "1.5"}
    with redis_view(valkey_url) as redis:
        async with started(tmp_path, config, valkey_url, name="one", **short) as one:
            async with client_of(one) as client:
                await Sender(client).post_all(documents)
            await until(lambda: calls.exists() and len(calls.read_text().split()) == len(documents))
            one.freeze()
            released.touch()
            async with (
                started(tmp_path, config, valkey_url, name="two", **short) as two,
                client_of(two) as client,
            ):
                await until(lambda: not redis.length("in"))
                one.wake()
                await until(lambda: one.log.read_text().count("lease_lost") == len(documents))
                await pop_each(client, documents)
                await check_whole(client, tmp_path, documents)
        assert redis.ever_added("out") == len(documents)
        assert not redis.dead("in")


async def test_it_stops_in_time_though_threads_hang(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    documents = vcons(shared_data, 3)
    calls = tmp_path / "calls"
    hang = link("ajax.trouble", how="hang", calls=str(calls), unless=str(tmp_path / "released"))
    config = config_of(tmp_path, {"hang": hang})
    grace = {"VCONFLOW_GRACE_SECONDS": "1"}
    with redis_view(valkey_url) as redis:
        async with (
            started(tmp_path, config, valkey_url, **grace) as process,
            client_of(process) as client,
        ):
            await Sender(client).post_all(documents)
            await until(lambda: calls.exists() and len(calls.read_text().split()) == 3)
            # Its helper ends the test when that takes a minute.
            assert await process.terminate() == 0
        assert redis.length("in") == 3
        (tmp_path / "released").touch()
        async with started(tmp_path, config, valkey_url) as process, client_of(process) as client:
            await pop_each(client, documents)
            await check_whole(client, tmp_path, documents)


def cpu_seconds(process: VconflowProcess) -> float:
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_beside_a_native_link(
    tmp_path: Path, shared_data: Path, valkey_url: str, capsys: Any
) -> None:
    """A module does the same as a native link, at a price that is shown here."""
    documents = vcons(shared_data, 1000)
    bulk = b"\n".join(documents.values())
    ndjson = {"content-type": "application/x-ndjson"}
    links = {
        "native": {"module": "links.tag", "options": {"tags": ["iron", "maiden"]}},
        "module": link("ajax.tagging"),
    }
    chains = {name: {"links": [name], "ingress_lists": [name]} for name in links}
    config: dict[str, Any] = {"links": links, "chains": chains}
    price: dict[str, float] = {}
    with redis_view(valkey_url) as redis:
        async with started(tmp_path, config, valkey_url) as process, client_of(process) as client:
            # The first round of each warms up.
            for name in [*links, *links]:
                before = cpu_seconds(process)
                reply = await client.post(
                    "/vcons", params={"ingress_lists": name}, content=bulk, headers=ndjson
                )
                assert reply.json()["accepted"] == len(documents)
                await until(lambda name=name: not redis.length(name))
                price[name] = (cpu_seconds(process) - before) / len(documents)
            tags = Vcon((await client.get(f"/vcon/{next(iter(documents))}")).content).tags
    assert {"iron:module", "maiden:module"} <= set(tags)
    with capsys.disabled():
        spent = {name: f"{seconds * 1e6:.0f} us" for name, seconds in price.items()}
        ratio = price["module"] / price["native"]
        print(f"\nCPU per vCon, accepting included: {spent}, {ratio:.1f} times as much")  # noqa: T201
    assert ratio < 20


async def test_serve_names_what_is_missing(tmp_path: Path, valkey_url: str) -> None:
    missing = {"module": "nowhere.link", "pip_name": "nowhere-links>=2"}
    config = config_of(tmp_path, {"own": missing})
    config["imports"] = {"a": "nowhere_else"}
    async with started(tmp_path, config, valkey_url) as process, client_of(process) as client:
        log = process.log.read_text()
        assert "links.own: nowhere.link is not installed: run `vconflow install`" in log
        assert "imports.a: nowhere_else is not installed" in log
        assert "links.own.pip_name: nowhere-links>=2 is not installed" in log
        (chain,) = (await client.get("/chains")).json()["chains"]
        assert "not installed: link 'own' (nowhere.link)" in json.dumps(chain)
