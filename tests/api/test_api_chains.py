"""/chains: looking at chains, pausing and resuming them."""

import httpx
import pytest
from api_doubles import TOPOLOGY, World

from vconflow.errors import Unavailable


async def test_all_chains_and_one(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/chains")).json()["chains"]
    assert [chain["name"] for chain in listed] == list(TOPOLOGY.chains)
    one = (await client.get("/api/chains/main")).json()
    assert one == listed[0]
    assert one["lists"]["second"] == {"depth": 3, "pending": 1, "dead": 0, "oldest_seconds": 2.5}
    numbers = ("depth", "pending", "dead", "in_flight", "retrying", "rate", "paused", "held")
    assert [one[name] for name in numbers] == [6, 2, 0, 1, 0, 0.5, False, None]
    assert (one["links"], one["storages"]) == ([{"name": "mark", "module": "links.tag"}], ["pg"])


async def test_pausing_and_resuming_is_idempotent(client: httpx.AsyncClient, world: World) -> None:
    for what, paused in (
        ("pause", {"main"}),
        ("pause", {"main"}),
        ("resume", set()),
        ("resume", set()),
    ):
        response = await client.post(f"/chains/main/{what}")
        assert (response.status_code, response.content) == (204, b"")
        assert world.chains.paused == paused


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/pause"), ("POST", "/resume")],
)
async def test_an_unknown_chain(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, f"/chains/n%C3%B6{path}")
    assert response.status_code == 404
    assert response.json() == {"detail": "Chain 'nö' is not configured"}


async def test_a_chain_of_a_name_with_slashes(client: httpx.AsyncClient) -> None:
    response = await client.post("/chains/a%2Fpause/resume")
    assert response.json() == {"detail": "Chain 'a/pause' is not configured"}
    assert (await client.get("/chains/a/b%0Ac")).json() == {
        "detail": "Chain 'a/b\nc' is not configured"
    }


async def test_while_redis_is_away(client: httpx.AsyncClient, world: World) -> None:
    world.chains.error = Unavailable("Redis is away")
    response = await client.post("/chains/main/pause")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_pausing_is_not_a_get(client: httpx.AsyncClient) -> None:
    assert (await client.get("/chains/main/pause")).status_code == 405
