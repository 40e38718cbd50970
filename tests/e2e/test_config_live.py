"""The configuration of running replicas: changed over HTTP, by its file, and by each other."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import redis.asyncio
import yaml
from loading import bulk, vcons
from redis_view import until
from vconflow_process import VconflowProcess, launched, pop_all, vconflow

from vconflow.testing.tcp_proxy import Direction, tcp_proxy

COUNT = 600


def config_of(tag: str, **sections: Any) -> dict[str, Any]:
    """A chain whose one link leaves a tag."""
    return {
        "links": {"mark": {"module": "links.tag", "options": {"tags": [tag]}}},
        "chains": {"main": {"links": ["mark"], "ingress_lists": ["in"], "egress_lists": ["out"]}},
        **sections,
    }


def tag_of(config: dict[str, Any]) -> str:
    return str(config["links"]["mark"]["options"]["tags"][0])


@asynccontextmanager
async def replica(
    folder: Path, config: dict[str, Any], url: str, name: str = "one", **environment: str
) -> AsyncIterator[tuple[VconflowProcess, httpx.AsyncClient]]:
    """A replica and a client of it."""
    async with (
        vconflow(folder, config, name, REDIS_URL=url, **environment) as process,
        httpx.AsyncClient(base_url=process.url, timeout=30) as client,
    ):
        yield process, client


async def has_tag(client: httpx.AsyncClient, tag: str) -> bool:
    return tag_of((await client.get("/config")).json()) == tag


async def trouble(client: httpx.AsyncClient) -> str:
    """What /ready says about the configuration, empty when all is well."""
    reply = (await client.get("/ready")).json()
    found = {one["name"]: one for one in reply["dependencies"]}["configuration"]
    assert found["ok"] is (reply["status"] == "ready")
    return str(found["error"])


async def test_a_change_reaches_every_replica_under_load(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    documents = vcons(shared_data, COUNT)
    halves = list(documents.items())
    async with (
        replica(tmp_path, config_of("first"), valkey_url, "one") as (one, client),
        replica(tmp_path, config_of("first"), valkey_url, "two") as (two, other),
    ):
        loading = asyncio.gather(
            bulk(one.url, dict(halves[::2])), bulk(two.url, dict(halves[1::2]))
        )
        for number in range(5):
            reply = await client.post("/config", json=config_of(f"new-{number}"))
            assert reply.status_code == 204, reply.text
            assert await has_tag(client, f"new-{number}")
        await loading
        await until(lambda: has_tag(other, "new-4"))
        popped = await pop_all(client, "out", COUNT)
        assert sorted(popped) == sorted(documents)
        assert (await client.get("/vcon/count", params={"egress_list": "out"})).json() == 0
        versions = (await other.get("/config/versions")).json()
        assert [version["version"] for version in versions] == [6, 5, 4, 3, 2, 1]
        assert [version["by"] for version in versions] == ["api"] * 5 + ["file"]
        assert [version["current"] for version in versions] == [True] + [False] * 5
        # The newest is what a vCon meets from now on, in both.
        for where in (client, other):
            uuid, document = halves[0]
            await where.post("/vcon", content=document, params={"ingress_list": "in"})
            await pop_all(where, "out", 1)
            assert "new-4" in (await where.get(f"/vcon/{uuid}")).text


async def test_the_file_is_followed_however_it_is_changed(tmp_path: Path, valkey_url: str) -> None:
    async with replica(tmp_path, config_of("start"), valkey_url) as (process, client):
        path = tmp_path / "one.yml"
        path.write_text(yaml.safe_dump(config_of("in-place")))
        await until(lambda: has_tag(client, "in-place"))
        new = tmp_path / "new.yml"
        new.write_text(yaml.safe_dump(config_of("replaced")))
        new.replace(path)
        await until(lambda: has_tag(client, "replaced"))
        text = yaml.safe_dump(config_of("slowly"))
        with path.open("w") as file:
            for part in (text[:20], text[20:60], text[60:]):
                file.write(part)
                file.flush()
                await asyncio.sleep(0.1)
        await until(lambda: has_tag(client, "slowly"))
        assert await trouble(client) == ""
        path.write_text("chains: {main: {links: [missing], ingress_lists: [in]}}")
        await until(lambda: degraded(client))
        assert await trouble(client) == (
            "the file cannot be used: unknown_link at chains.main.links[0]"
        )
        assert await has_tag(client, "slowly")
        metrics = (await client.get("/metrics")).text
        assert "vconflow_config_refused 1.0" in metrics
        assert 'vconflow_config_reloads_total{outcome="refused",source="file"} 1.0' in metrics
        path.unlink()
        await until(lambda: says(client, "unreadable"))
        path.write_text(text)
        await until(lambda: well(client))
        assert "unknown link 'missing'" in process.log.read_text()


async def degraded(client: httpx.AsyncClient) -> bool:
    return await trouble(client) != ""


async def well(client: httpx.AsyncClient) -> bool:
    return await trouble(client) == ""


async def says(client: httpx.AsyncClient, word: str) -> bool:
    return word in await trouble(client)


async def test_a_swapped_link_as_kubernetes_does_it(tmp_path: Path, valkey_url: str) -> None:
    mounted = tmp_path / "mounted"
    for name in ("..1", "..2"):
        (mounted / name).mkdir(parents=True)
        (mounted / name / "one.yml").write_text(yaml.safe_dump(config_of(name)))
    (mounted / "..data").symlink_to("..1")
    (mounted / "one.yml").symlink_to("..data/one.yml")
    # Far too seldom to be what notices it.
    environment = {"VCONFLOW_CONFIG_POLL_SECONDS": "600"}
    async with replica(mounted, config_of("..1"), valkey_url, **environment) as (_, client):
        assert await has_tag(client, "..1")
        (mounted / "..new").symlink_to("..2")
        (mounted / "..new").replace(mounted / "..data")
        await until(lambda: has_tag(client, "..2"))


async def test_a_signal_has_the_file_read_again(tmp_path: Path, valkey_url: str) -> None:
    environment = {"VCONFLOW_CONFIG_POLL_SECONDS": "600", "WATCHFILES_FORCE_POLLING": "1"}
    environment["WATCHFILES_POLL_DELAY_MS"] = "600000"
    async with replica(tmp_path, config_of("a"), valkey_url, **environment) as (process, client):
        (tmp_path / "one.yml").write_text(yaml.safe_dump(config_of("b")))
        await asyncio.sleep(1)
        assert await has_tag(client, "a")
        process.signal(signal.SIGHUP)
        await until(lambda: has_tag(client, "b"))
        assert (await client.get("/config/versions")).json()[0]["by"] == "file"
        assert await process.terminate() == 0


async def test_a_signal_while_it_starts_or_stops_ends_nothing(
    tmp_path: Path, valkey_url: str
) -> None:
    async with tcp_proxy(valkey_url.removeprefix("unix://")) as redis_proxy:
        redis_proxy.stall(Direction.REPLIES)  # a Redis that is slow to answer
        url = f"redis://127.0.0.1:{redis_proxy.port}/0"
        async with launched(tmp_path, config_of("a"), REDIS_URL=url) as process:
            await until(lambda: redis_proxy.connections)
            process.signal(signal.SIGHUP)
            await asyncio.sleep(0.1)
            redis_proxy.restore()
            await process.ready()
            ending = asyncio.create_task(process.terminate())
            while not ending.done():
                process.signal(signal.SIGHUP)
                await asyncio.sleep(0.005)
            assert await ending == 0


async def test_what_was_changed_over_http_outlives_a_restart_but_not_another_file(
    tmp_path: Path, valkey_url: str
) -> None:
    async with replica(tmp_path, config_of("file"), valkey_url) as (process, client):
        await client.post("/config", json=config_of("posted"))
        reply = await client.post("/config/versions/1/rollback")
        assert reply.status_code == 204
        assert await has_tag(client, "file")
        assert (await client.post("/config/versions/2/rollback")).status_code == 204
        await process.die()
    async with replica(tmp_path, config_of("file"), valkey_url) as (_, client):
        assert await has_tag(client, "posted")
        versions = (await client.get("/config/versions")).json()
        assert [one["comment"] for one in versions] == [
            "rollback to version 2", "rollback to version 1", "", "",
        ]  # fmt: skip
        (tmp_path / "one.yml").touch()
        await asyncio.sleep(1)
        assert await has_tag(client, "posted")
    async with replica(tmp_path, config_of("another"), valkey_url) as (_, client):
        assert await has_tag(client, "another")
        assert len((await client.get("/config/versions")).json()) == 5


async def test_killed_after_the_change_is_stored_and_before_it_runs(
    tmp_path: Path, valkey_url: str
) -> None:
    """The version is written to Redis as another replica would, while this one is frozen."""
    async with replica(tmp_path, config_of("old"), valkey_url) as (process, client):
        assert await has_tag(client, "old")
        process.freeze()
        async with replica(tmp_path, config_of("old"), valkey_url, "two") as (second, other):
            assert (await other.post("/config", json=config_of("new"))).status_code == 204
            await second.die()
        await process.die()
    async with replica(tmp_path, config_of("old"), valkey_url) as (_, client):
        assert await has_tag(client, "new")


async def test_without_announcements_replicas_still_agree(tmp_path: Path, valkey_url: str) -> None:
    environment = {"VCONFLOW_CONFIG_POLL_SECONDS": "1"}
    async with (
        redis.asyncio.Redis.from_url(valkey_url) as view,
        replica(tmp_path, config_of("a"), valkey_url, "one", **environment) as (_, client),
        replica(tmp_path, config_of("a"), valkey_url, "two", **environment) as (_, other),
    ):
        cutting = asyncio.create_task(cut_listeners(view))
        for number in range(5):
            tag = f"b{number}"
            assert (await client.post("/config", json=config_of(tag))).status_code == 204
            await until(lambda tag=tag: has_tag(other, tag))  # type: ignore[misc]
        assert not cutting.done()
        cutting.cancel()


async def cut_listeners(view: redis.asyncio.Redis) -> None:
    while True:
        await view.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
        await asyncio.sleep(0.02)


async def test_what_may_not_come_over_http(tmp_path: Path, valkey_url: str) -> None:
    evidence = tmp_path / "imported"
    (tmp_path / "sideeffect.py").write_text(
        f"import pathlib\npathlib.Path({str(evidence)!r}).touch()\n"
        "from vconflow.links.tag import TagLink as Link\n"
    )
    environment = {"PYTHONPATH": str(tmp_path), "HIDDEN": "hidden-value"}
    foreign = config_of("x")
    foreign["links"]["evil"] = {"module": "sideeffect:Link", "pip_name": "evil-package"}
    foreign["links"]["mark"]["options"]["tags"] = ["${HIDDEN}"]
    foreign["chains"]["main"]["links"] = ["mark", "sumary"]
    foreign["imports"] = {"more": "sideeffect"}
    elsewhere = {"path": str(tmp_path / "elsewhere")}
    foreign["storages"] = {"anywhere": {"module": "storage.file", "options": elsewhere}}
    async with replica(tmp_path, config_of("a"), valkey_url, **environment) as (process, client):
        reply = await client.post("/config", json=foreign)
        assert reply.status_code == 422
        assert "hidden-value" not in reply.text
        assert {
            (".".join(map(str, one["loc"])), one["type"]) for one in reply.json()["detail"]
        } == {
            ("body.links.evil.module", "untrusted_module"),
            ("body.links.evil.pip_name", "untrusted_package"),
            ("body.imports.more", "untrusted_module"),
            ("body.storages.anywhere.options.path", "untrusted_path"),
            ("body.links.mark.options.tags.0", "untrusted_variable"),
            ("body.chains.main.links.1", "unknown_link"),
        }
        # Nor may it come out of the store.
        async with replica(tmp_path, foreign_file(), valkey_url, "two", **environment) as (
            _,
            other,
        ):
            assert evidence.exists()
            evidence.unlink()
            assert await has_tag(other, "two")
            await until(lambda: says(client, "version 2 cannot be used: untrusted_module"))
        assert await has_tag(client, "a")
        assert not evidence.exists()
        assert "hidden-value" not in process.log.read_text()
        # What a version that cannot be used here holds is still not shown.
        text = (await client.get("/config/versions/2")).text
        assert "sideeffect:Link" in text
        assert "a-secret" not in text
        assert not evidence.exists()


def foreign_file() -> dict[str, Any]:
    config = config_of("two")
    config["links"]["evil"] = {"module": "sideeffect:Link", "options": {"tags": ["a-secret"]}}
    return config
