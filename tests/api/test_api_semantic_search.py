"""/semantic-search."""

import httpx
import pytest
from api_doubles import KEY, World

from vconflow.errors import NotFound, Retryable
from vconflow.ports.semantic_index import SemanticHit

FIRST = SemanticHit("019d1000-0000-8000-8000-000000000001", 0.75, "They want their money back.")
SECOND = SemanticHit("019d1000-0000-8000-8000-000000000002", -0.25, "It rains.")


@pytest.mark.parametrize("path", ["/semantic-search", "/api/semantic-search"])
async def test_finds_uuids_with_scores_and_texts(
    client: httpx.AsyncClient, world: World, path: str
) -> None:
    world.meanings.hits = [FIRST, SECOND]
    response = await client.get(path, params={"q": "a refund, please"})
    assert response.status_code == 200
    assert response.json() == {
        "hits": [
            {"uuid": FIRST.uuid, "score": 0.75, "text": FIRST.text},
            {"uuid": SECOND.uuid, "score": -0.25, "text": SECOND.text},
        ]
    }
    assert world.meanings.asked == [("a refund, please", 10)]


async def test_the_limit_is_passed_on(client: httpx.AsyncClient, world: World) -> None:
    world.meanings.hits = [FIRST, SECOND]
    response = await client.get("/semantic-search", params={"q": "x", "limit": 1})
    assert [hit["uuid"] for hit in response.json()["hits"]] == [FIRST.uuid]


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": " \t "}, "q"),
        ({"q": "x" * 1001}, "q"),
        ({"q": "x", "limit": "0"}, "limit"),
        ({"q": "x", "limit": "101"}, "limit"),
        ({"q": "x", "limit": "many"}, "limit"),
    ],
)
async def test_says_what_is_wrong_and_asks_nobody(
    client: httpx.AsyncClient, world: World, params: dict[str, str], place: str
) -> None:
    response = await client.get("/semantic-search", params=params)
    assert response.status_code == 422
    assert [problem["loc"] for problem in response.json()["detail"]] == [["query", place]]
    assert world.meanings.asked == []


async def test_the_longest_question_is_asked(client: httpx.AsyncClient, world: World) -> None:
    longest = "\u00fc" * 1000
    response = await client.get("/semantic-search", params={"q": longest, "limit": 100})
    assert response.json() == {"hits": []}
    assert world.meanings.asked == [(longest, 100)]


async def test_without_an_index_there_is_nothing_to_find(
    client: httpx.AsyncClient, world: World
) -> None:
    world.meanings.error = NotFound("No storage that can be searched by meaning is configured")
    response = await client.get("/semantic-search", params={"q": "x"})
    assert response.status_code == 404
    assert "No storage" in response.json()["detail"]


async def test_says_when_to_come_back(client: httpx.AsyncClient, world: World) -> None:
    world.meanings.error = Retryable("away", retry_after=6.2)
    response = await client.get("/semantic-search", params={"q": "x"})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")


async def test_needs_a_key(client: httpx.AsyncClient, world: World) -> None:
    name = next(iter(KEY))
    response = await client.get("/semantic-search", params={"q": "x"}, headers={name: "wrong"})
    assert response.status_code == 403
    assert world.meanings.asked == []
