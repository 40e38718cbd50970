"""/followers: what waits and what is parked, trying again and forgetting."""

import httpx
import pytest
from api_doubles import World

from vconflow.errors import Unavailable

PARKED = {
    "entry": "1-0",
    "uuid": "no uuid",
    "reason": "not_a_uuid",
    "error": "it is none",
    "at": 1_700_000_000.0,
}


async def test_followers_are_listed(client: httpx.AsyncClient) -> None:
    reply = await client.get("/followers")
    assert reply.json() == {
        "followers": [
            {
                "name": "upstream",
                "egress_list": "out",
                "follower_ingress_list": "in",
                "here": True,
                "error": "",
                "waiting": 0,
                "parked": 1,
            }
        ]
    }


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [("POST", "retry", {"retried": 1}), ("DELETE", "parked", {"dropped": 1})],
)
async def test_what_is_parked_is_seen_tried_again_and_forgotten(
    client: httpx.AsyncClient, method: str, path: str, answer: object
) -> None:
    assert (await client.get("/followers/upstream/parked")).json() == {"parked": [PARKED]}
    assert (await client.request(method, f"/followers/upstream/{path}")).json() == answer
    assert (await client.get("/followers/upstream/parked")).json() == {"parked": []}


async def test_unknown_names_and_numbers(client: httpx.AsyncClient) -> None:
    for method, path in (("GET", "parked"), ("DELETE", "parked"), ("POST", "retry")):
        reply = await client.request(method, f"/followers/nobody/{path}")
        assert reply.status_code == 404
        assert reply.json() == {"detail": "Follower 'nobody' is not configured"}
    assert (await client.get("/followers/upstream/parked?limit=0")).status_code == 422


async def test_redis_away_is_no_4xx(client: httpx.AsyncClient, world: World) -> None:
    async def away(name: str, count: int = 0) -> list[object]:
        raise Unavailable("Redis")

    world.followers.parked = away  # type: ignore[assignment]
    reply = await client.get("/followers/upstream/parked")
    assert (reply.status_code, "retry-after" in reply.headers) == (503, True)
