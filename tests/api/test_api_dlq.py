"""/dlq and /dlq/reprocess."""

import httpx
import pytest
from api_doubles import World


async def test_all_dead_letters_of_a_list(client: httpx.AsyncClient, world: World) -> None:
    uuids = [f"uuid-{number}" for number in range(2_500)]
    world.dead.fill("inbox", uuids)
    response = await client.get("/dlq?ingress_list=inbox")
    assert (response.status_code, response.json()) == (200, uuids)
    assert "x-more" not in response.headers
    assert (await client.get("/dlq?ingress_list=second")).json() == []


async def test_a_longer_list_says_that_it_was_cut(client: httpx.AsyncClient, world: World) -> None:
    world.dead.fill("inbox", ["u"] * 100_001)
    response = await client.get("/dlq?ingress_list=inbox")
    assert len(response.json()) == 100_000
    assert response.headers["x-more"] == "true"


@pytest.mark.parametrize(("query", "moved"), [("", 1_000), ("&count=2100", 2_100)])
async def test_reprocess_moves_the_oldest(
    client: httpx.AsyncClient, world: World, query: str, moved: int
) -> None:
    uuids = [f"uuid-{number}" for number in range(2_500)]
    world.dead.fill("inbox", uuids)
    response = await client.post(f"/dlq/reprocess?ingress_list=inbox{query}")
    assert (response.status_code, response.text) == (200, str(moved))
    assert world.dead.replayed == uuids[:moved]


async def test_reprocess_ends_with_the_list(client: httpx.AsyncClient, world: World) -> None:
    world.dead.fill("inbox", ["a", "b"])
    assert (await client.post("/dlq/reprocess?ingress_list=inbox")).text == "2"
    assert (await client.post("/dlq/reprocess?ingress_list=inbox")).text == "0"


async def test_what_dies_again_at_once_is_not_moved_twice(
    client: httpx.AsyncClient, world: World
) -> None:
    world.dead.fill("inbox", [f"uuid-{number}" for number in range(1_500)])
    world.dead.dies_again = True
    response = await client.post("/dlq/reprocess?ingress_list=inbox&count=100000")
    assert (response.text, len(world.dead.replayed)) == ("1500", 1_500)


@pytest.mark.parametrize("count", ["0", "100001", "many"])
async def test_reprocess_bounds_its_count(client: httpx.AsyncClient, count: str) -> None:
    response = await client.post(f"/dlq/reprocess?ingress_list=inbox&count={count}")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "count"]
