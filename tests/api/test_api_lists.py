"""Putting stored vCons on lists, and how full lists are."""

from uuid import uuid4

import httpx
import pytest
from api_doubles import World, make_vcon, uuid_of


async def stored(client: httpx.AsyncClient) -> str:
    document = make_vcon()
    await client.post("/vcon", content=document)
    return uuid_of(document)


@pytest.mark.parametrize(
    "url", ["/vcon/ingress?ingress_list=inbox", "/chain/main/ingress", "/api/chain/main/ingress"]
)
@pytest.mark.parametrize("wrapped", [False, True])
async def test_ingress_by_uuid_skips_what_nobody_has(
    client: httpx.AsyncClient, world: World, url: str, wrapped: bool
) -> None:
    known = await stored(client)
    uuids = [known.upper(), str(uuid4())]
    response = await client.post(url, json={"uuids": uuids} if wrapped else uuids)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["x-skipped"] == "1"
    assert world.core.lists == {"inbox": [known]}


@pytest.mark.parametrize("url", ["/vcon/ingress?ingress_list=inbox", "/chain/main/ingress"])
async def test_ingress_carries_who_asks_and_their_trace(
    client: httpx.AsyncClient, world: World, url: str
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"traceparent": trace, "idempotency-key": "k"}
    await client.post(url, json=[await stored(client)], headers=headers)
    assert world.core.enqueued == [{"owner": "main", "trace": trace, "key": "k"}]


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        (b"{", "json_invalid", ["body"]),
        (b"\xff", "json_invalid", ["body"]),
        (b'"text"', "type_error", ["body"]),
        (b"[1]", "type_error", ["body"]),
        (b'{"ids": []}', "type_error", ["body"]),
        (b'["nonsense"]', "uuid_parsing", ["body", 0]),
    ],
)
async def test_ingress_refuses_what_is_no_list_of_uuids(
    client: httpx.AsyncClient, body: bytes, kind: str, loc: list[object]
) -> None:
    response = await client.post("/vcon/ingress?ingress_list=inbox", content=body)
    assert response.status_code == 422
    [problem] = response.json()["detail"]
    assert (problem["type"], problem["loc"]) == (kind, loc)
    assert "nonsense" not in response.text


async def test_ingress_needs_the_name_of_a_configured_list(client: httpx.AsyncClient) -> None:
    unknown = await client.post("/vcon/ingress?ingress_list=x", json=[])
    assert unknown.status_code == 404
    assert unknown.json() == {"detail": "Ingress list 'x' is not configured"}
    missing = await client.post("/vcon/ingress", json=[])
    assert missing.status_code == 422
    assert missing.json() == {
        "detail": [{"loc": ["query", "ingress_list"], "msg": "Field required", "type": "missing"}]
    }
    blank = await client.post("/vcon/ingress?ingress_list=", json=[])
    assert blank.json()["detail"][0]["type"] == "string_too_short"


async def test_chains_are_named_by_their_configuration(client: httpx.AsyncClient) -> None:
    for path in ("ingress", "egress"):
        response = await client.post(f"/chain/none/{path}", json=[])
        assert response.status_code == 404
        assert response.json() == {"detail": "Chain 'none' is not configured"}
    silent = await client.get("/chain/silent/egress")
    assert (silent.status_code, silent.json()) == (
        404,
        {"detail": "Chain 'silent' has no egress list"},
    )
    source = await client.post("/chain/source/ingress", json=[])
    assert (source.status_code, source.json()) == (
        404,
        {"detail": "Chain 'source' has no ingress list"},
    )


async def test_stats_know_configured_lists_only(client: httpx.AsyncClient, world: World) -> None:
    world.egress.fill("out", ["a", "b"])
    world.egress.fill("secret", ["a"])
    known = await client.get("/stats/queue?list_name=out")
    assert (known.status_code, known.json()) == (200, {"list_name": "out", "depth": 2})
    unknown = await client.get("/stats/queue?list_name=secret")
    assert unknown.status_code == 404
    assert unknown.json() == {"detail": "List 'secret' is not configured"}
    assert (await client.get("/stats/queue")).status_code == 422


async def test_count_is_a_bare_number(client: httpx.AsyncClient, world: World) -> None:
    world.egress.fill("out", ["a", "b", "c"])
    response = await client.get("/vcon/count?egress_list=out")
    assert (response.status_code, response.text) == (200, "3")
    assert (await client.get("/vcon/count?egress_list=nowhere")).text == "0"
