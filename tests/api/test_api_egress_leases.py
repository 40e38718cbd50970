"""Egress by leases: only what is acknowledged is removed, and an old lease has no effect."""

from urllib.parse import quote

import httpx
import pytest
from api_doubles import World

from vconflow.testing.memory import ManualClock, MemoryServer

ODD = "grüße/an alle/lease?&#%2F"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(clock: ManualClock) -> World:
    server = MemoryServer(clock)
    for name, uuids in {"out": "abcd", ODD: "x", "inbox": "i"}.items():
        for uuid in uuids:
            server.store.append(name, uuid, origin="chain:main", egress=True)
    world = World()
    world.egress = server.replica(egress_lease=60).egress  # type: ignore[assignment]
    return world


async def leased(client: httpx.AsyncClient, query: str = "", name: str = "out") -> dict[str, str]:
    """Ids by uuid."""
    response = await client.post(f"/egress/{quote(name, safe='')}/lease{query}")
    assert response.status_code == 200
    return {entry["uuid"]: entry["id"] for entry in response.json()["entries"]}


async def settle(client: httpx.AsyncClient, what: str, ids: list[str], query: str = "") -> object:
    response = await client.post(f"/egress/out/{what}{query}", json={"ids": ids})
    assert response.status_code == 200
    return response.json()


async def test_a_lease_comes_back_after_its_own_time(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    response = await client.post("/api/egress/out/lease?limit=2&seconds=600")
    assert response.json()["seconds"] == 600
    assert [entry["uuid"] for entry in response.json()["entries"]] == ["a", "b"]
    common = await client.post("/egress/out/lease")
    assert (common.json()["seconds"], len(common.json()["entries"])) == (60, 1)
    await clock.advance(60)
    assert list(await leased(client, "?limit=10&seconds=86400")) == ["c", "d"]
    await clock.advance(539)
    assert await leased(client, "?limit=10") == {}
    await clock.advance(1)
    assert list(await leased(client, "?limit=10")) == ["a", "b"]


async def test_what_is_acknowledged_is_gone(client: httpx.AsyncClient, clock: ManualClock) -> None:
    ids = await leased(client, "?limit=3")
    assert await settle(client, "ack", [ids["b"], ids["a"], ids["a"]]) == {
        "acked": 2, "not_leased": [],
    }  # fmt: skip
    again = await client.post("/egress/out/ack", json=[ids["a"]])
    assert again.json() == {"acked": 0, "not_leased": [ids["a"]]}
    await clock.advance(86_400)
    assert list(await leased(client, "?limit=10")) == ["c", "d"]


async def test_a_lease_that_is_over_is_told_from_one_that_ended(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    old = await leased(client, "?limit=2")
    await clock.advance(61)
    new = await leased(client)
    assert new["a"] != old["a"]
    mine = list(old.values())
    assert await settle(client, "extend", mine, "?seconds=5") == {
        "extended": 1, "not_leased": [old["a"]], "seconds": 5,
    }  # fmt: skip
    assert await settle(client, "return", mine) == {"returned": 1, "not_leased": [old["a"]]}
    assert await settle(client, "ack", mine) == {"acked": 1, "not_leased": [old["a"]]}
    assert await settle(client, "ack", [new["a"]]) == {"acked": 1, "not_leased": []}


async def test_what_is_returned_is_there_at_once_and_before_what_is_new(
    client: httpx.AsyncClient,
) -> None:
    ids = await leased(client, "?limit=2&seconds=86400")
    await settle(client, "return", [ids["b"]])
    assert (await client.get("/vcon/count?egress_list=out")).json() == 3
    assert (await client.get("/vcon/egress?egress_list=out&limit=9")).json() == ["b", "c", "d"]
    assert await settle(client, "ack", list(ids.values())) == {
        "acked": 1, "not_leased": [ids["b"]],
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_name_may_hold_anything(client: httpx.AsyncClient, prefix: str) -> None:
    name = quote(ODD, safe="")
    response = await client.post(f"{prefix}/egress/{name}/lease")
    (entry,) = response.json()["entries"]
    assert entry["uuid"] == "x"
    response = await client.post(f"{prefix}/egress/{name}/ack", json=[entry["id"]])
    assert response.json() == {"acked": 1, "not_leased": []}
    assert await leased(client, name="nirgendwo äöü %2F") == {}


async def test_a_list_that_feeds_a_chain_is_not_lent(client: httpx.AsyncClient) -> None:
    response = await client.post("/egress/inbox/lease")
    assert response.status_code == 409
    assert response.json() == {"detail": "List 'inbox' feeds the chain 'main' and cannot be popped"}


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("?seconds=0", "seconds"),
        ("?seconds=86401", "seconds"),
        ("?seconds=1.5", "seconds"),
        ("?limit=0", "limit"),
        ("?limit=10001", "limit"),
    ],
)
async def test_the_numbers_are_bounded(client: httpx.AsyncClient, query: str, place: str) -> None:
    response = await client.post(f"/egress/out/lease{query}")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", place]
    assert len(await leased(client, "?limit=10")) == 4


@pytest.mark.parametrize(
    "body",
    [
        {"ids": ["1-0"]}, {"ids": ["1-0.1\n"]}, ["٣-0.1"], [""], [1], {}, {"ids": "1-0.1"}, "1-0.1",
        ["1-0.1"] * 10_001, ["9" * 40 + "-0.1"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("what", ["ack", "return", "extend"])
async def test_what_is_no_id_of_a_lease_is_refused(
    client: httpx.AsyncClient, what: str, body: object
) -> None:
    response = await client.post(f"/egress/out/{what}", json=body)
    if body == ["1-0.1"] * 10_001:  # the same id again says nothing more
        assert response.json()["not_leased"] == ["1-0.1"]
        return
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][0] == "body"


async def test_of_no_ids_nothing_is_done(client: httpx.AsyncClient) -> None:
    assert await settle(client, "ack", []) == {"acked": 0, "not_leased": []}
