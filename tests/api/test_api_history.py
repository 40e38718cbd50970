"""/vcon/{uuid}/history."""

import httpx
from api_doubles import World, make_vcon, uuid_of

from vconflow.ports.history import HistoryRecord, StepTime


async def test_what_is_remembered_comes_oldest_first(
    client: httpx.AsyncClient, world: World
) -> None:
    uuid = "019d1000-0000-8000-8000-000000000001"
    world.history.records[uuid] = [
        HistoryRecord(kind="accepted", at=1, uuid=uuid, lists=("inbox",), source="http"),
        HistoryRecord(
            kind="completed", at=2, uuid=uuid, chain="main", list="inbox", entry="1-0",
            links=(StepTime("mark", 1.5, "continue"),), storages=(StepTime("pg", 2.0),),
        ),
    ]  # fmt: skip
    response = await client.get(f"/vcon/{uuid.upper()}/history")
    assert response.status_code == 200
    assert response.json()["uuid"] == uuid
    accepted, completed = response.json()["events"]
    assert accepted == {
        "type": "accepted", "at": 1, "uuid": uuid, "lists": ["inbox"], "source": "http",
    }  # fmt: skip
    assert completed["links"] == [{"name": "mark", "ms": 1.5, "outcome": "continue"}]
    assert completed["storages"] == [{"name": "pg", "ms": 2.0}]


async def test_a_vcon_of_which_nothing_is_remembered(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    await client.post("/vcon", content=document)
    response = await client.get(f"/vcon/{uuid_of(document)}/history")
    assert (response.status_code, response.json()["events"]) == (200, [])


async def test_a_vcon_that_nobody_knows(client: httpx.AsyncClient) -> None:
    response = await client.get("/vcon/019d1000-0000-8000-8000-000000000002/history")
    assert (response.status_code, response.json()) == (404, {"detail": "vCon not found"})
    assert (await client.get("/vcon/no-uuid/history")).status_code == 422
