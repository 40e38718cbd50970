"""/dead-letters."""

from typing import Any

import httpx
import pytest
from api_doubles import World

from vconflow.ports.ledger import Progress

UUIDS = [f"uuid-{number}" for number in range(2_500)]


async def pages(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """All pages, each with its letters."""
    found = [(await client.get("/dead-letters", params=query)).json()]
    while cursor := found[-1]["cursor"]:
        query["cursor"] = cursor
        found.append((await client.get("/dead-letters", params=query)).json())
    return found


def uuids_in(found: list[dict[str, Any]]) -> list[str]:
    return [letter["uuid"] for page in found for letter in page["dead_letters"]]


async def ids_of(client: httpx.AsyncClient, **query: Any) -> list[str]:
    return [item["id"] for page in await pages(client, **query) for item in page["dead_letters"]]


async def test_a_dead_letter_says_what_happened_and_where_it_resumes(
    client: httpx.AsyncClient, world: World
) -> None:
    world.dead.fill("inbox", ["u"], progress=Progress(next_link="x", routes=("out",)))
    world.dead.fill("inbox", ["s"], progress=Progress(storages=("pg",)), traceback="line 1\nline 2")
    first, second = (await client.get("/api/dead-letters")).json()["dead_letters"]
    assert first == {
        "id": "inbox:1700000000000-0",
        "list": "inbox",
        "uuid": "u",
        "chain": "main",
        "stage": "link:x",
        "error_type": "Boom",
        "error": "it broke",
        "attempts": 3,
        "first_failure": "2023-11-14T21:56:40.000000+00:00",
        "last_failure": "2023-11-14T22:13:20.000000+00:00",
        "enqueued": "2023-11-14T21:40:00.000000+00:00",
        "next_link": "x",
        "storages": None,
        "origin": "",
    }
    assert (second["next_link"], second["storages"]) == (None, ["pg"])
    one = (await client.get(f"/dead-letters/{second['id']}")).json()
    assert one == {
        **second,
        "trace": "",
        "traceback": "line 1\nline 2",
        "progress": {"storages": ["pg"]},
    }


async def test_pages_go_over_all_lists_and_miss_nothing(
    client: httpx.AsyncClient, world: World
) -> None:
    for number, name in enumerate(("inbox", "quiet", "second")):
        world.dead.fill(name, UUIDS[number * 400 : number * 400 + 400])
    found = await pages(client, limit=150)
    assert uuids_in(found) == UUIDS[:1200]
    assert [len(page["dead_letters"]) for page in found] == [150] * 8
    assert uuids_in(await pages(client, limit=399, list="quiet")) == UUIDS[400:800]


@pytest.mark.parametrize(
    ("query", "matching"),
    [
        ({"stage": "storage"}, ["pg", "both"]),
        ({"stage": "storage:pg"}, ["pg", "both"]),
        ({"stage": "storage:files,pg"}, ["both"]),
        ({"stage": "link"}, ["link"]),
        ({"stage": "link:"}, []),
        ({"chain": "silent"}, ["link"]),
        ({"chain": "silent", "stage": "storage"}, []),
        ({"error": "TIMED"}, ["pg"]),
        ({"error": "boom"}, ["both", "link"]),
    ],
)
async def test_conditions_are_all_met(
    client: httpx.AsyncClient, world: World, query: dict[str, str], matching: list[str]
) -> None:
    timeout = {"error_type": "Timeout", "error": "it timed out"}
    world.dead.fill("inbox", ["pg"], stage="storage:pg", **timeout)
    world.dead.fill("inbox", ["both"], stage="storage:files,pg")
    world.dead.fill("quiet", ["link"], chain="silent")
    assert uuids_in(await pages(client, **query)) == matching


async def test_what_is_rare_is_found_in_bounded_steps(
    client: httpx.AsyncClient, world: World
) -> None:
    world.dead.fill("inbox", UUIDS)
    world.dead.fill("inbox", ["rare"], error="another")
    found = await pages(client, error="another")
    assert [len(page["dead_letters"]) for page in found] == [0, 1]


async def replayed(client: httpx.AsyncClient, **wanted: Any) -> list[dict[str, Any]]:
    """Replay all, as a client does; every answer."""
    answers = [(await client.post("/dead-letters/replay", json=wanted)).json()]
    while cursor := answers[-1]["cursor"]:
        answer = await client.post("/dead-letters/replay", json={**wanted, "cursor": cursor})
        answers.append(answer.json())
    return answers


async def test_a_replay_takes_everything_once_even_what_dies_again(
    client: httpx.AsyncClient, world: World
) -> None:
    world.dead.fill("inbox", UUIDS[:1500])
    world.dead.fill("second", UUIDS[1500:])
    world.dead.dies_again = True
    answers = await replayed(client, limit=700)
    assert [answer["replayed"] for answer in answers] == [700, 700, 700, 400]
    assert sum(answer["scanned"] for answer in answers) == 2500
    assert {answer["total"] for answer in answers} == {2500}
    assert world.dead.replayed == UUIDS
    assert not any(world.dead.from_start)


async def test_a_step_of_nothing_fixes_where_the_replay_ends(
    client: httpx.AsyncClient, world: World
) -> None:
    world.dead.fill("inbox", ["a"])
    begun = (await client.post("/dead-letters/replay?limit=0")).json()
    assert (begun["replayed"], begun["scanned"], begun["total"]) == (0, 0, 1)
    world.dead.fill("inbox", ["later"])
    world.dead.fill("second", ["later elsewhere"])
    query = {"cursor": begun["cursor"], "from": "start"}
    done = (await client.post("/dead-letters/replay", params=query)).json()
    assert (done["replayed"], done["cursor"]) == (1, None)
    assert (world.dead.replayed, world.dead.from_start) == (["a"], [True])
    # The answer was lost: the same once more finds nothing that it would have to move again.
    again = (await client.post("/dead-letters/replay", params=query)).json()
    assert (again["replayed"], again["cursor"]) == (0, None)


async def test_a_replay_of_what_matches(client: httpx.AsyncClient, world: World) -> None:
    world.dead.fill("inbox", ["a", "b"])
    world.dead.fill("inbox", ["c"], stage="crash")
    (answer,) = await replayed(client, stage="crash", list="inbox")
    assert answer == {"replayed": 1, "scanned": 3, "total": 2, "cursor": None}
    assert world.dead.replayed == ["c"]


async def test_a_replay_by_ids(client: httpx.AsyncClient, world: World) -> None:
    world.dead.fill("inbox", ["a", "b"])
    world.dead.fill("second", ["c"])
    a, b, c = await ids_of(client)
    for wanted in ({"json": {"ids": [a, c, "inbox:9-9"]}}, {"params": {"ids": [a, b]}}):
        answer = await client.post("/dead-letters/replay", **wanted)  # type: ignore[arg-type]
        assert answer.status_code == 200
    assert world.dead.replayed == ["a", "c", "b"]
    # No ids are none, not all.
    world.dead.fill("inbox", ["d"])
    assert (await client.post("/dead-letters/replay", json={"ids": []})).json()["replayed"] == 0


@pytest.mark.parametrize("list_name", ["a:b", "a/b", "a b%2F~7E", "é", "a?b#c"])
async def test_the_id_is_unique_and_survives_any_encoding(
    client: httpx.AsyncClient, world: World, list_name: str
) -> None:
    world.dead.fill(list_name, ["u"])
    world.dead.fill("inbox", ["other"])
    (letter_id,) = await ids_of(client, list=list_name)
    quoted = "".join(f"%{byte:02X}" for byte in letter_id.encode())
    for spelling in (letter_id, quoted):
        assert (await client.get(f"/api/dead-letters/{spelling}")).json()["uuid"] == "u"
    assert (await client.delete(f"/dead-letters/{quoted}")).status_code == 204
    assert (await client.delete(f"/dead-letters/{letter_id}")).status_code == 404
    assert (await client.get(f"/dead-letters/{letter_id}")).status_code == 404
    assert world.dead.left("inbox") == ["other"]


async def test_a_purge_drops_what_matches_and_nothing_else(
    client: httpx.AsyncClient, world: World
) -> None:
    world.dead.fill("inbox", UUIDS[:300])
    world.dead.fill("inbox", ["kept"], stage="crash")
    world.dead.fill("second", ["kept too"])
    query: dict[str, Any] = {"list": "inbox", "stage": "link", "limit": 200}
    first = (await client.delete("/dead-letters", params=query)).json()
    assert (first["purged"], first["scanned"], first["total"]) == (200, 200, 101)
    world.dead.fill("inbox", ["newer"])
    second = (
        await client.delete("/dead-letters", params={**query, "cursor": first["cursor"]})
    ).json()
    assert (second["purged"], second["cursor"]) == (100, None)
    assert world.dead.left("inbox") == ["kept", "newer"]
    assert world.dead.left("second") == ["kept too"]


async def test_everything_is_dropped_only_by_who_says_so(
    client: httpx.AsyncClient, world: World
) -> None:
    world.dead.fill("inbox", ["a"])
    for query in ("", "?all=false", "?limit=5"):
        refused = await client.delete(f"/dead-letters{query}")
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["query", "all"])
    assert world.dead.left("inbox") == ["a"]
    assert (await client.delete("/dead-letters?all=true")).json()["purged"] == 1


async def test_a_list_that_is_no_longer_configured_can_be_seen_and_emptied(
    client: httpx.AsyncClient, world: World
) -> None:
    assert (await client.get("/dead-letters?list=old")).status_code == 404
    assert (await client.delete("/dead-letters?list=old")).status_code == 404
    world.dead.fill("old", ["a"])
    assert await ids_of(client, list="old") == ["old:1700000000000-0"]
    for wanted in ({"list": "old"}, {"ids": ["old:1700000000000-0"]}):
        answer = await client.post("/dead-letters/replay", json=wanted)
        assert answer.json() == {"detail": "Ingress list 'old' is not configured"}
        assert answer.status_code == 404
    assert (await client.post("/dead-letters/replay?list=out")).status_code == 404
    assert world.dead.left("old") == ["a"]
    assert (await client.delete("/dead-letters?list=old")).json()["purged"] == 1


@pytest.mark.parametrize(
    ("method", "query", "body", "place"),
    [
        ("GET", "?limit=0", None, ["query", "limit"]),
        ("GET", "?limit=many", None, ["query", "limit"]),
        ("GET", "?stage=", None, ["query", "stage"]),
        ("GET", "?chian=main", None, ["query", "chian"]),
        ("GET", "?cursor=nonsense", None, ["query", "cursor"]),
        ("GET", "?cursor=%C3%A9", None, ["query", "cursor"]),
        ("DELETE", "?list=inbox&sage=x", None, ["query", "sage"]),
        ("DELETE", "?list=", None, ["query", "list"]),
        ("DELETE", "?all=perhaps", None, ["query", "all"]),
        ("POST", "?from=middle", None, ["query", "from"]),
        ("POST", "", {"from": "middle"}, ["body", "from"]),
        ("POST", "", {"limit": 1001}, ["body", "limit"]),
        ("POST", "", {"ids": None}, ["body", "ids"]),
        ("POST", "", {"ids": ["inbox:1-0", "nonsense"]}, ["body", "ids", 1]),
        ("POST", "", {"ids": ["inbox:1-0"], "chain": "main"}, ["body", "ids"]),
        ("POST", "", {"chains": "main"}, ["body", "chains"]),
        ("POST", "", ["inbox:1-0"], ["body"]),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_place(
    client: httpx.AsyncClient, world: World, method: str, query: str, body: Any, place: list[str]
) -> None:
    world.dead.fill("inbox", ["a"])
    path = "/dead-letters/replay" if method == "POST" else "/dead-letters"
    options = {} if body is None else {"json": body}
    answer = await client.request(method, path + query, **options)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, place)
    assert world.dead.left("inbox") == ["a"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_is_no_id_is_not_found(client: httpx.AsyncClient, method: str) -> None:
    for letter_id in ("nonsense", "inbox:", ":1-0", "inbox:1-0", "inbox:99999999999999999999-0"):
        assert (await client.request(method, f"/dead-letters/{letter_id}")).status_code == 404


async def test_the_newest_of_all_lists_come_first(client: httpx.AsyncClient, world: World) -> None:
    for list_name, uuids in (("inbox", "ab"), ("quiet", "cd"), ("second", "e"), ("inbox", "f")):
        world.dead.fill(list_name, [*uuids])

    async def newest(limit: int) -> list[str]:
        answer = (await client.get(f"/dead-letters/newest?limit={limit}")).json()
        assert answer["total"] == 6
        return [letter["uuid"] for letter in answer["dead_letters"]]

    assert await newest(1) == ["f"]
    assert await newest(3) == ["f", "e", "d"]
    assert await newest(100) == ["f", "e", "d", "c", "b", "a"]
    for limit in (0, 101):
        refused = await client.get(f"/dead-letters/newest?limit={limit}")
        assert refused.json()["detail"][0]["loc"] == ["query", "limit"]
