"""A follower whose other side is in trouble, has lost vCons, or is another one from now on."""

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from following_support import follower_ready, followers_ready, kept, metrics, popped_once, puller
from loading import vcons
from redis_view import until
from reference_conserver import TOKEN, Answer, reference_conserver
from vconflow_process import VconflowProcess, pop_all, vconflow

TROUBLES = {
    "away": Answer(503),
    "broken": Answer(500, b"oops"),
    "busy": Answer(429, headers={"retry-after": "1"}),
    "slow": Answer(503, delay=0.5),
    "garbage": Answer(200, b"\x00<html>"),
    "moved": Answer(307, headers={"location": "http://127.0.0.1:9/"}),
    "forbidden": Answer(403, b'{"detail": "Invalid API Key"}'),
    "behind_a_proxy": Answer(404, b"default backend"),
}


async def test_trouble_of_the_other_side_passes(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """Of many other sides, each in a trouble of its own."""
    documents = vcons(shared_data, 10 * len(TROUBLES))
    parts = iter(documents.items())
    config = puller(tmp_path, "")
    follower = config["followers"].pop("upstream")
    with ExitStack() as stack:
        conservers = {name: stack.enter_context(reference_conserver()) for name in TROUBLES}
        for name, conserver in conservers.items():
            conserver.decide = in_trouble(name, TROUBLES[name])
            conserver.offer("theirs", dict(islice(parts, 10)))
            config["followers"][name] = follower | {"url": conserver.url, "fetch_vcon_limit": 50}
        async with vconflow(tmp_path, config, REDIS_URL=valkey_url) as process:
            await each_was(process, lambda error: error != "")
            assert not kept(tmp_path)
            for conserver in conservers.values():
                conserver.decide = lambda path: None
            await popped_once(process, documents)
            await each_was(process, lambda error: error == "")
    assert kept(tmp_path) == documents


def in_trouble(name: str, answer: Answer) -> Callable[[str], Answer | None]:
    # It begins while vCons are fetched, but a vCon that is garbage would be parked.
    all_of_it = name == "garbage"
    return lambda path: answer if ("egress" in path) == all_of_it else None


async def each_was(process: VconflowProcess, wanted: Callable[[str], bool]) -> None:
    """Wait until every follower has had an error that is `wanted`; say which has not."""
    left = set(TROUBLES)
    try:
        async with asyncio.timeout(60):
            while left:
                errors = await followers_ready(process)
                left -= {name for name, error in errors.items() if wanted(error)}
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not so for {sorted(left)}")


async def test_what_cannot_be_had_is_parked_and_seen(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    documents = vcons(shared_data, 30)
    gone, bad, other = list(documents)[:3]
    with reference_conserver() as conserver:
        conserver.offer("theirs", documents)
        conserver.lists["theirs"].append("../../config")
        del conserver.documents[gone]
        conserver.documents[bad] = b'{"uuid": "' + bad.encode() + b'", "parties": 7}'
        conserver.documents[other] = documents[gone]
        good = {name: body for name, body in documents.items() if name not in (gone, bad, other)}
        config = puller(tmp_path, conserver.url)
        async with vconflow(tmp_path, config, REDIS_URL=valkey_url) as process:
            await popped_once(process, good)
            async with asyncio.timeout(30):
                while (await metrics(process)).get(
                    'vconflow_follower_parked{follower="upstream"}'
                ) != 4:
                    await asyncio.sleep(0.05)
            outcome = 'vconflow_follower_pulled_total{{follower="upstream",outcome="{}"}}'.format
            told = await metrics(process)
            counted = {it: told[outcome(it)] for it in ("stored", "gone", "invalid", "not_a_uuid")}
            assert counted == {"stored": 27, "gone": 1, "invalid": 2, "not_a_uuid": 1}
            asked = conserver.asked(gone)
            await asyncio.sleep(0.5)
            assert conserver.asked(gone) == asked, "asked for ever"
            async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
                path = "/followers/upstream"
                parked = (await client.get(f"{path}/parked")).json()["parked"]
                reasons = {item["uuid"]: item["reason"] for item in parked}
                assert reasons == {
                    gone: "gone",
                    bad: "invalid",
                    other: "invalid",
                    "../../config": "not_a_uuid",
                }
                # Somebody puts it back over there, and says so here.
                conserver.documents[gone] = documents[gone]
                assert (await client.post(f"{path}/retry")).json() == {"retried": 4}
                assert await pop_all(client, "out", 1) == [gone]
                async with asyncio.timeout(30):
                    while len((await client.get(f"{path}/parked")).json()["parked"]) < 3:
                        await asyncio.sleep(0.05)
                assert (await client.delete(f"{path}/parked")).json() == {"dropped": 3}
        lines = [
            json.loads(line) for line in process.log.read_text().splitlines() if line[0] == "{"
        ]
    parked = {line["uuid"] for line in lines if line.get("event") == "follower_parked"}
    assert parked == {gone, bad, other, "../../config"}
    with redis.Redis.from_url(valkey_url) as client:
        assert client.keys("vconflow:parked:*") == client.keys("vconflow:follow:*") == []


async def test_followers_follow_the_configuration(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """Added, changed and removed by POST /config, without a restart."""
    documents = vcons(shared_data, 30)
    parts = [dict(islice(documents.items(), start, start + 10)) for start in (0, 10, 20)]
    with reference_conserver() as first, reference_conserver() as second:
        config = puller(tmp_path, first.url)
        followers = config.pop("followers")
        async with (
            vconflow(tmp_path, config, REDIS_URL=valkey_url) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as client,
        ):

            async def configure(followers: dict[str, Any]) -> None:
                shown = (await client.get("/config")).json() | {"followers": followers}
                assert (await client.post("/config", json=shown)).status_code == 204

            first.offer("theirs", parts[0])
            await configure(followers)
            assert set(await pop_all(client, "out", 10)) == parts[0].keys()
            shown = (await client.get("/config")).json()["followers"]["upstream"]
            assert shown["auth_token"] != TOKEN

            await configure(
                {"upstream": shown | {"fetch_vcon_limit": 5}}
            )  # the key stays as it was
            first.offer("theirs", parts[1])
            assert set(await pop_all(client, "out", 10)) == parts[1].keys()
            await configure({"upstream": followers["upstream"] | {"url": second.url}})
            await until(lambda: second.asked("egress") > 1)
            await configure({})
            asked = len(second.requests)
            second.offer("theirs", parts[2])
            await asyncio.sleep(1)
            assert len(second.requests) <= asked + 1
            assert await follower_ready(process) is None
            assert (await client.get("/followers")).json() == {"followers": []}
            await configure({"another": followers["upstream"] | {"url": second.url}})
            assert set(await pop_all(client, "out", 10)) == parts[2].keys()
