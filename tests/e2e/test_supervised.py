"""`serve --replicas`: replicas that die, come and go under load, and a supervisor that dies."""

import asyncio
import os
import signal
import ssl
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import httpx
from loading import Sender, bulk, vcons
from redis_view import redis_view, until
from supervised import Supervised, children_of, gone, is_there, supervised
from vconflow_process import launched, pop_all

from certificates import Authority
from vconflow.testing.servers import free_port
from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

COUNT = 300
PARALLEL = 16


def config_of(folder: Path, receiver: WebhookReceiver | None = None) -> dict[str, Any]:
    """A chain to a file; its webhook tells which replica called."""
    chain = {"ingress_lists": ["in"], "storages": ["file"], "egress_lists": ["out"]}
    config: dict[str, Any] = {
        "storages": {"file": {"module": "storage.file", "options": {"path": str(folder / "files")}}}
    }
    if receiver is None:
        return config | {"chains": {"main": chain}}
    hook = {"webhook-urls": [f"{receiver.url}/${{VCONFLOW_REPLICA}}"]}
    link = {"hook": {"module": "links.webhook", "options": hook}}
    return config | {"links": link, "chains": {"main": chain | {"links": ["hook"]}}}


async def check_once_at_egress(running: Supervised, documents: Collection[str]) -> None:
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:
        popped = await pop_all(client, "out", len(documents))
        await until_idle(client)
        popped += (await client.get("/vcon/egress", params={"egress_list": "out"})).json()
    assert Counter(popped) == Counter(list(documents))


async def until_idle(client: httpx.AsyncClient) -> None:
    async def is_idle() -> bool:
        chain = (await client.get("/chains/main")).json()
        return chain["depth"] == chain["pending"] == 0

    await until(is_idle)


async def test_killed_replicas_are_started_again_and_nothing_is_lost(
    tmp_path: Path, shared_data: Path
) -> None:
    documents = vcons(shared_data, 20 * COUNT)
    with webhook_receiver() as receiver:
        receiver.default = Reply(delay=0.05)
        config = config_of(tmp_path, receiver)
        async with (
            supervised(tmp_path, config, VCONFLOW_LEASE_SECONDS="20") as running,
            httpx.AsyncClient(base_url=running.url, timeout=30) as client,
        ):
            sender = Sender(client, keys=True)
            posting = asyncio.create_task(sender.post_all(documents, PARALLEL))
            for name in ("one.1", "one.2", "one.1"):
                calls = len(receiver.received)
                await until(lambda before=calls: len(receiver.received) >= before + 30)
                await running.kill_replica(name)
            assert not posting.done()
            sender.enough = True
            await posting
            await check_once_at_egress(running, sender.accepted)
            # Each goes on under its name with what it had, long before the lease ends.
            assert running.said("recovered")
            ends = running.said("replica_ended")
            assert [line["how"] for line in ends] == ["SIGKILL"] * 3
            assert await running.supervisor.terminate() == 0
        # The second one was there all the time, and the first was away for a moment.
        assert sender.refused == 0
        assert {call.path for call in receiver.received} == {"/one.1", "/one.2"}
    assert {path.stem for path in (tmp_path / "files").rglob("*.json")} == sender.accepted


async def test_replicas_come_and_go_under_load_and_no_client_notices(
    tmp_path: Path, shared_data: Path
) -> None:
    """Clients that keep their connections, and such that make one for each request."""
    documents = vcons(shared_data, 20 * COUNT)
    halves = dict(list(documents.items())[::2]), dict(list(documents.items())[1::2])
    keeping, none_kept = httpx.Limits(), httpx.Limits(max_keepalive_connections=0)
    async with (
        supervised(tmp_path, config_of(tmp_path)) as running,
        httpx.AsyncClient(base_url=running.url, timeout=30, limits=keeping) as one,
        httpx.AsyncClient(base_url=running.url, timeout=30, limits=none_kept) as other,
    ):
        senders = Sender(one), Sender(other)
        posting = [
            asyncio.create_task(sender.post_all(half, PARALLEL // 2))
            for sender, half in zip(senders, halves, strict=True)
        ]
        for _ in range(2):
            assert await running.add() == "one.3"
            await until_it_accepts(running, "one.3")
            assert await running.remove() == "one.3"
        assert await running.remove() == "one.2"
        assert not any(task.done() for task in posting)
        for sender in senders:
            sender.enough = True
        await asyncio.gather(*posting)
        accepted = senders[0].accepted | senders[1].accepted
        await check_once_at_egress(running, accepted)
        # Nobody was refused, and nobody had to send anything again.
        assert [sender.refused for sender in senders] == [0, 0]
        assert max((senders[0].sent + senders[1].sent).values()) == 1
        assert await running.supervisor.terminate() == 0


async def until_it_accepts(running: Supervised, name: str) -> None:
    async def has_accepted() -> bool:
        return (await running.metric("vconflow_accepted_total")).get(name, 0) > 0

    await until(has_accepted)


async def test_a_removed_replica_hands_over_what_it_cannot_finish(
    tmp_path: Path, shared_data: Path
) -> None:
    documents = vcons(shared_data, 60)
    with webhook_receiver() as receiver:
        receiver.default = Reply(fault="hang")
        config = config_of(tmp_path, receiver)
        environment = {"VCONFLOW_GRACE_SECONDS": "0.5", "VCONFLOW_LEASE_SECONDS": "3"}
        async with supervised(tmp_path, config, **environment) as running:
            await bulk(running.url, documents)
            await until(lambda: len(receiver.received) >= len(documents))
            receiver.default = Reply()
            assert await running.remove() == "one.2"
            receiver.release()
            await check_once_at_egress(running, documents)
            # The last one stays.
            running.signal(signal.SIGTTOU)
            assert (await running.metric("vconflow_replicas"))["supervisor"] == 1 + 1
            assert await running.supervisor.terminate() == 0


async def test_a_killed_supervisor_takes_all_with_it_and_loses_nothing(
    tmp_path: Path, shared_data: Path
) -> None:
    documents = vcons(shared_data, COUNT)
    port = free_port()
    with webhook_receiver() as receiver:
        receiver.default = Reply(delay=0.05)
        config = config_of(tmp_path, receiver)
        async with (
            supervised(tmp_path, config, port=port) as running,
            httpx.AsyncClient(base_url=running.url, timeout=30) as client,
        ):
            posting = asyncio.create_task(Sender(client, keys=True).post_all(documents, PARALLEL))
            await until(lambda: len(receiver.received) >= 100)
            others = await children_of(running.supervisor.process.pid)
            assert others > set(running.pids().values())
            await running.supervisor.die()
            for pid in others:
                await gone(pid)
            async with supervised(tmp_path, config, port=port) as running:
                await posting
                await check_once_at_egress(running, documents)


async def test_a_signal_drains_all_and_a_second_one_ends_them_at_once(
    tmp_path: Path, shared_data: Path
) -> None:
    documents = vcons(shared_data, 60)
    with webhook_receiver() as receiver:
        receiver.answer(*[Reply(delay=0.5)] * 30)
        receiver.default = Reply(fault="hang")
        config = config_of(tmp_path, receiver)
        async with supervised(tmp_path, config, VCONFLOW_GRACE_SECONDS="1.5") as running:
            await bulk(running.url, documents)
            await until(lambda: len(receiver.received) == len(documents))
            assert await running.supervisor.terminate() == 0
            ends = running.said("drain_ended")
            assert sum(line["finished"] for line in ends) == 30
            assert sum(line["handed_over"] for line in ends) == 30
            assert {line["replica"] for line in ends} == {"one.1", "one.2"}
        receiver.release()
        async with supervised(tmp_path, config) as running:
            await until(lambda: len(receiver.received) == len(documents) + 30)
            pids = await children_of(running.supervisor.process.pid)
            before = len(running.said("drain_started"))
            running.signal(signal.SIGTERM)
            await until(lambda: len(running.said("drain_started")) > before)
            running.signal(signal.SIGTERM)
            assert await running.supervisor.ended() == -signal.SIGTERM
            for pid in pids:
                await gone(pid)
        receiver.release()
        receiver.default = Reply()
        async with supervised(tmp_path, config) as running:
            await check_once_at_egress(running, documents)


async def test_a_replica_that_cannot_start_is_tried_with_growing_pauses(tmp_path: Path) -> None:
    file = tmp_path / "one.yml"
    async with supervised(tmp_path, config_of(tmp_path)) as running:
        fine = file.read_text()
        file.write_text("chains: [")
        os.kill(running.pids()["one.1"], signal.SIGKILL)
        await until(lambda: len(running.said("replica_ended")) == 3)
        ends = running.said("replica_ended")
        assert [line["failed_starts"] for line in ends] == [0, 1, 2]
        assert [line["again_in"] for line in ends] == [0.1, 0.2, 0.4]
        assert ends[-1]["how"] == "exit code 1"
        assert "not YAML: line 1" in running.supervisor.log.read_text()
        # The other one serves, and says so.
        async with httpx.AsyncClient(base_url=running.url) as client:
            assert (await client.get("/ready")).status_code == 200
        assert (await running.metric("vconflow_replica_restarts_total"))["supervisor"] == 3
        assert (await running.metric("vconflow_replicas"))["supervisor"] == 2 + 1
        file.write_text(fine)
        await until(lambda: running.pids()["one.1"] != ends[0].get("pid") and ready(running) == 3)
        assert await running.supervisor.terminate() == 0


def ready(running: Supervised) -> int:
    return len(running.said("replica_ready"))


async def test_when_no_replica_can_be_started_any_more_it_ends_with_an_error(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, config_of(tmp_path)) as running:
        (tmp_path / "one.yml").write_text("chains: [")
        for pid in running.pids().values():
            os.kill(pid, signal.SIGKILL)
        assert await running.supervisor.ended() == 1
        assert (
            "ended 5 times in a row before it was ready (exit code 1)"
            in running.supervisor.log.read_text()
        )


async def test_what_cannot_start_at_first_is_not_tried_again(tmp_path: Path) -> None:
    environment = {"REDIS_URL": "redis://127.0.0.1:1", "CONSERVER_WORKERS": "3"}
    async with launched(tmp_path, config_of(tmp_path), **environment) as process:
        assert await process.ended() == 1
        log = process.log.read_text()
        assert "ended before it was ready (exit code 1)" in log
        assert "Traceback" not in log
        assert process.process.stdout is not None
        assert await process.process.stdout.read() == b""


async def test_whoever_is_asked_says_the_metrics_of_all(tmp_path: Path, shared_data: Path) -> None:
    documents = vcons(shared_data, 40)
    limits = httpx.Limits(max_keepalive_connections=0)
    async with supervised(tmp_path, config_of(tmp_path), replicas=3) as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=30, limits=limits) as client:
            await Sender(client).post_all(documents, 4)
        for _ in range(6):
            accepted = await running.metric("vconflow_accepted_total")
            assert sum(accepted.values()) == len(documents)
        memory = await running.metric("vconflow_process_resident_memory_bytes")
        assert memory.keys() == {"one.1", "one.2", "one.3", "supervisor"}
        # One that is stuck gets no connections, and is left out.
        stuck = running.pids()["one.2"]
        os.kill(stuck, signal.SIGSTOP)
        try:
            memory = await running.metric("vconflow_process_resident_memory_bytes")
        finally:
            os.kill(stuck, signal.SIGCONT)
        assert memory.keys() == {"one.1", "one.3", "supervisor"}
        assert [line["replica"] for line in running.said("replica_metrics_missing")] == ["one.2"]
        assert is_there(stuck)


async def test_all_read_a_changed_file_at_a_hangup(tmp_path: Path, valkey_url: str) -> None:
    """Each by itself: the file's changes are not watched for, and looked for once an hour."""
    environment = {"REDIS_URL": valkey_url, "VCONFLOW_CONFIG_POLL_SECONDS": "3600"}
    config = config_of(tmp_path)
    with redis_view(valkey_url):
        async with supervised(tmp_path, config, **environment) as running:
            (tmp_path / "one.yml").write_text("chains: {}")
            running.signal(signal.SIGHUP)
            await until(
                lambda: (
                    {line["replica"] for line in running.said("config_applied")[2:]}
                    == {"one.1", "one.2"}
                )
            )
            assert await running.supervisor.terminate() == 0


async def test_a_vcon_that_blocks_its_replica_ends_as_a_dead_letter_and_the_rest_goes_on(
    tmp_path: Path, shared_data: Path
) -> None:
    options = {"how": "block", "calls": str(tmp_path / "calls"), "seconds": 0.1, "after": 0.0}
    link = {"module": "troublemakers:PoisonLink", "options": options}
    chain = {"links": ["poison"], "ingress_lists": ["in"], "egress_lists": ["out"]}
    config = {"links": {"poison": link}, "chains": {"main": chain}}
    documents = vcons(shared_data, 30, subject="good")
    poison = vcons(shared_data, 31, subject="poison").popitem()[1]
    environment = {"VCONFLOW_LOOP_STALL": "1", "VCONFLOW_POISON_CRASHES": "2"}
    async with (
        supervised(tmp_path, config, VCONFLOW_LEASE_SECONDS="3", **environment) as running,
        httpx.AsyncClient(base_url=running.url, timeout=30) as client,
    ):
        await bulk(running.url, {"poison": poison})
        sender = Sender(client, keys=True)
        await sender.post_all(documents, 4)

        async def dead() -> list[dict[str, str]]:
            try:
                reply = await client.get("/dead-letters")
            except httpx.TransportError:  # of a connection to the one that is blocked
                return []
            return list(reply.json()["dead_letters"])

        await until(dead)
        assert [letter["stage"] for letter in await dead()] == ["crash"]
        await check_once_at_egress(running, documents)
        ends = [line["how"] for line in running.said("replica_ended")]
        assert ends == ["exit code 70"] * 2
        assert await running.supervisor.terminate() == 0


async def test_each_replica_takes_a_renewed_certificate(tmp_path: Path) -> None:
    authority = Authority("ours")
    cert, key, _ = authority.issue(tmp_path, "server")
    environment = {"VCONFLOW_TLS_CERTFILE": str(cert), "VCONFLOW_TLS_KEYFILE": str(key)}
    async with supervised(tmp_path, config_of(tmp_path), **environment) as running:
        assert running.url.startswith("https://127.0.0.1:")
        authority.issue(tmp_path, "server")
        await until(
            lambda: (
                {line["replica"] for line in running.said("certificate_loaded")}
                == {"one.1", "one.2"}
            )
        )
        trusted = ssl.create_default_context(cadata=authority.pem.decode())
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(verify=trusted, limits=limits) as client:
            for _ in range(8):
                assert (await client.get(f"{running.url}/ready")).status_code == 200
        assert await running.supervisor.terminate() == 0
