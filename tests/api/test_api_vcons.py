"""/vcon and /vcons over the ASGI interface."""

from uuid import uuid4

import httpx
import pytest
from api_doubles import World, make_vcon, uuid_of

GARBAGE_UUID = {
    "detail": [
        {
            "loc": ["path", "vcon_uuid"],
            "msg": "Input should be a valid UUID",
            "type": "uuid_parsing",
        }
    ]
}


async def test_post_answers_with_the_very_bytes_and_get_returns_them(
    client: httpx.AsyncClient, world: World
) -> None:
    document = make_vcon()
    posted = await client.post("/vcon?ingress_lists=inbox", content=document)
    read = await client.get(f"/vcon/{uuid_of(document)}")
    assert (posted.status_code, posted.content) == (201, document)
    assert (read.status_code, read.content) == (200, document)
    assert posted.headers["content-type"] == read.headers["content-type"] == "application/json"
    assert world.core.lists == {"inbox": [uuid_of(document)]}


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/vcon?ingress_lists=inbox&ingress_lists=second", {}),
        ("/vcon?ingress_lists=inbox,%20second,,inbox", {}),
        ("/vcon?ingress_list=inbox,second", {}),
        ("/vcon", {"ingress_lists": "inbox, second"}),
        ("/vcon", {"ingress_list": "inbox,second"}),
        ("/vcon?ingress_lists=inbox", {"ingress_list": "second"}),
        ("/vcon", {"ingress-lists": "inbox,second"}),
        ("/vcon", [("ingress_list", "inbox"), ("ingress_list", "second")]),
        ("/vcons?ingress_lists=inbox,second", {}),
        ("/api/vcon?ingress_lists=inbox,second", {}),
    ],
)
async def test_lists_are_named_in_every_way_clients_know(
    client: httpx.AsyncClient,
    world: World,
    url: str,
    headers: dict[str, str] | list[tuple[str, str]],
) -> None:
    response = await client.post(url, content=make_vcon(), headers=headers)
    assert response.status_code == 201
    assert world.core.accepted[0]["lists"] == ("inbox", "second")


async def test_acceptance_knows_who_sent_it_and_its_trace(
    client: httpx.AsyncClient, world: World
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await client.post("/vcon", content=make_vcon(), headers={"traceparent": trace})
    await client.post("/vcon", content=make_vcon(), headers={"traceparent": "nonsense"})
    for nonsense in (f"ff{trace[2:]}", f"00-{'0' * 32}{trace[35:]}", f"{trace[:36]}{'0' * 16}-01"):
        await client.post("/vcon", content=make_vcon(), headers={"traceparent": nonsense})
    assert [call["trace"] for call in world.core.accepted] == [trace, "", "", "", ""]
    assert world.core.accepted[0]["owner"] == "main"
    assert world.core.accepted[0]["source"] == "http"


@pytest.mark.parametrize(("name", "charset"), [("список", "utf-8"), ("café", "latin-1")])
async def test_a_header_may_name_a_list_in_any_script(
    client: httpx.AsyncClient, name: str, charset: str
) -> None:
    headers = [(b"ingress_list", name.encode(charset))]
    response = await client.post("/vcon", content=make_vcon(), headers=headers)
    assert response.json() == {"detail": f"Ingress list '{name}' is not configured"}


async def test_unconfigured_ingress_list(client: httpx.AsyncClient) -> None:
    response = await client.post("/vcon?ingress_lists=x", content=make_vcon())
    assert response.status_code == 404
    assert response.json() == {"detail": "Ingress list 'x' is not configured"}


async def test_an_invalid_vcon_is_refused_with_its_places_and_without_its_content(
    client: httpx.AsyncClient,
) -> None:
    document = make_vcon(uuid="secret conversation")
    response = await client.post("/vcon", content=document)
    assert response.status_code == 422
    [problem] = response.json()["detail"]
    assert problem["loc"] == ["body", "uuid"]
    assert set(problem) == {"loc", "msg", "type"}
    assert "secret" not in response.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe"])
async def test_what_is_no_json_object_is_a_422(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/vcon", content=body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][0] == "body"


async def test_unknown_vcon(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/vcon/{uuid4()}")
    assert response.status_code == 404
    assert response.json() == {"detail": "vCon not found"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_garbage_uuid_in_the_path(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/vcon/not-a-uuid", content=b"{}")
    assert response.status_code == 422
    assert response.json() == GARBAGE_UUID


async def test_the_path_takes_any_spelling_of_a_uuid(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    await client.post("/vcon", content=document)
    spelled = uuid_of(document).upper().replace("-", "")
    assert (await client.get(f"/vcon/{spelled}")).content == document


async def test_etag_saves_sending_what_the_client_has(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    await client.post("/vcon", content=document)
    url = f"/vcon/{uuid_of(document)}"
    etag = (await client.get(url)).headers["etag"]
    assert etag.startswith('"')
    for matching in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await client.get(url, headers={"if-none-match": matching})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    assert (await client.get(url, headers={"if-none-match": '"other"'})).status_code == 200


async def test_a_large_document_has_an_etag_too(client: httpx.AsyncClient) -> None:
    document = make_vcon(subject="x" * 600_000)
    await client.post("/vcon", content=document)
    url = f"/vcon/{uuid_of(document)}"
    etag = (await client.get(url)).headers["etag"]
    assert (await client.get(url, headers={"if-none-match": etag})).status_code == 304


async def test_put_replaces_and_changes_the_etag(client: httpx.AsyncClient) -> None:
    old = make_vcon()
    url = f"/vcon/{uuid_of(old)}"
    await client.post("/vcon", content=old)
    etag = (await client.get(url)).headers["etag"]
    new = make_vcon(uuid_of(old), subject="changed")
    put = await client.put(url, content=new, headers={"if-match": etag})
    assert (put.status_code, put.content) == (200, new)
    read = await client.get(url)
    assert read.content == new
    assert read.headers["etag"] == put.headers["etag"] != etag


async def test_put_over_another_revision_is_412(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    url = f"/vcon/{uuid_of(document)}"
    await client.post("/vcon", content=document)
    etag = (await client.get(url)).headers["etag"]
    await client.put(url, content=make_vcon(uuid_of(document), subject="first"))
    late = make_vcon(uuid_of(document), subject="second")
    for stale in (etag, f"W/{(await client.get(url)).headers['etag']}"):
        lost = await client.put(url, content=late, headers={"if-match": stale})
        assert lost.status_code == 412
        assert lost.json() == {"detail": "The vCon has changed: If-Match names another revision"}
    assert b"first" in (await client.get(url)).content
    assert (await client.put(url, content=late, headers={"if-match": "*"})).status_code == 200


def somebody_stores_after_the_comparison(world: World, uuid: str) -> None:
    compared = world.core.revision

    async def revision_then_somebody_stores(asked: str) -> object:
        found = await compared(asked)
        await world.core.accept(make_vcon(uuid), ())
        return found

    world.core.revision = revision_then_somebody_stores  # type: ignore[assignment, method-assign]


async def test_put_loses_a_race_between_compare_and_store(
    client: httpx.AsyncClient, world: World
) -> None:
    document = make_vcon()
    uuid = uuid_of(document)
    await client.post("/vcon", content=document)
    etag = (await client.get(f"/vcon/{uuid}")).headers["etag"]
    somebody_stores_after_the_comparison(world, uuid)
    headers = {"if-match": etag}
    response = await client.put(f"/vcon/{uuid}", content=make_vcon(uuid), headers=headers)
    assert response.status_code == 412


async def test_put_over_whatever_is_there_does_not_care_for_races(
    client: httpx.AsyncClient, world: World
) -> None:
    document = make_vcon()
    uuid = uuid_of(document)
    await client.post("/vcon", content=document)
    somebody_stores_after_the_comparison(world, uuid)
    for headers in ({}, {"if-match": "*"}):
        response = await client.put(f"/vcon/{uuid}", content=make_vcon(uuid), headers=headers)
        assert response.status_code == 200


async def test_put_where_nothing_should_be_is_412(client: httpx.AsyncClient, world: World) -> None:
    document = make_vcon()
    url = f"/vcon/{uuid_of(document)}"
    await client.post("/vcon", content=document)
    etag = (await client.get(url)).headers["etag"]
    late = make_vcon(uuid_of(document), subject="second")
    for unwanted in ("*", etag, f'"other", W/{etag}'):
        refused = await client.put(url, content=late, headers={"if-none-match": unwanted})
        assert refused.status_code == 412
    assert world.core.held[uuid_of(document)].document == document
    taken = await client.put(url, content=late, headers={"if-none-match": '"other"'})
    assert taken.status_code == 200


@pytest.mark.parametrize("refused", ["POST /vcon", "POST /vcons", "POST /vcon/ingress"])
async def test_an_idempotency_key_may_be_any_text_of_255_characters(
    client: httpx.AsyncClient, world: World, refused: str
) -> None:
    method, path = refused.split()
    document = make_vcon()
    params = {"ingress_list": "inbox"}
    body = document if path != "/vcon/ingress" else b"[]"

    async def send(key: bytes) -> httpx.Response:
        headers = [(b"idempotency-key", key)]
        return await client.request(method, path, params=params, content=body, headers=headers)

    for key in (b"k" * 255, "schlüssel: {x} \u2028".encode(), b"*?[a-z]"):
        assert (await send(key)).is_success
        last = (world.core.accepted or world.core.enqueued)[-1]
        assert last["key"] == key.decode("latin-1")
    too_long = await send(b"k" * 256)
    assert too_long.status_code == 422
    [problem] = too_long.json()["detail"]
    assert problem["loc"] == ["header", "Idempotency-Key"]
    assert (await send(b"")).is_success


async def test_put_of_an_unknown_vcon(client: httpx.AsyncClient, world: World) -> None:
    document = make_vcon()
    response = await client.put(f"/vcon/{uuid_of(document)}", content=document)
    assert (response.status_code, response.json()) == (404, {"detail": "vCon not found"})
    assert world.core.held == {}


async def test_put_of_a_body_with_another_uuid(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    await client.post("/vcon", content=document)
    response = await client.put(f"/vcon/{uuid_of(document)}", content=make_vcon())
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "uuid"]


async def test_delete(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    url = f"/vcon/{uuid_of(document)}"
    await client.post("/vcon", content=document)
    deleted = await client.delete(url)
    assert (deleted.status_code, deleted.content) == (204, b"")
    again = await client.delete(url)
    assert (again.status_code, again.content) == (204, b"")


async def test_delete_reports_the_storages_that_failed(
    client: httpx.AsyncClient, world: World
) -> None:
    document = make_vcon()
    uuid = uuid_of(document)
    await client.post("/vcon", content=document)
    world.core.failing_storages = {"pg": "connection refused"}
    response = await client.delete(f"/vcon/{uuid}")
    assert response.status_code == 207
    assert response.json() == {
        "uuid": uuid,
        "found": True,
        "storages": {
            "files": {"ok": True, "error": ""},
            "pg": {"ok": False, "error": "connection refused"},
        },
    }


async def test_listing_is_paged_newest_first_and_bounded_by_dates(
    client: httpx.AsyncClient,
) -> None:
    days = [make_vcon(created_at=f"2024-01-0{day}T00:00:00Z") for day in (2, 1, 3)]
    for document in days:
        await client.post("/vcon", content=document)
    second, first, third = map(uuid_of, days)
    assert (await client.get("/vcon")).json() == [third, second, first]
    assert (await client.get("/vcon?page=2&size=2")).json() == [first]
    assert (await client.get("/vcon?since=2024-01-02T00:00:00Z")).json() == [third, second]
    assert (await client.get("/vcon?until=2024-01-01T12:00:00%2B00:00")).json() == [first]
    assert (await client.get("/vcon?since=1704240000")).json() == [third]
    assert (await client.get("/vcon?since=&until=")).json() == [third, second, first]


@pytest.mark.parametrize(
    ("query", "name", "kind"),
    [
        ("size=0", "size", "greater_than_equal"),
        ("size=1001", "size", "less_than_equal"),
        ("page=0", "page", "greater_than_equal"),
        ("page=two", "page", "int_parsing"),
        ("since=yesterday", "since", "datetime_parsing"),
        ("until=1-1", "until", "datetime_parsing"),
    ],
)
async def test_listing_refuses_bad_parameters(
    client: httpx.AsyncClient, query: str, name: str, kind: str
) -> None:
    response = await client.get(f"/vcon?{query}")
    assert response.status_code == 422
    [problem] = response.json()["detail"]
    assert (problem["loc"], problem["type"]) == (["query", name], kind)
    assert problem["msg"]


async def test_several_vcons_in_the_order_asked_for(client: httpx.AsyncClient) -> None:
    first, second = make_vcon(), make_vcon()
    for document in (first, second):
        await client.post("/vcon", content=document)
    repeated = await client.get(
        "/vcons", params={"vcon_uuids": [uuid_of(second), str(uuid4()), uuid_of(first)]}
    )
    joined = await client.get(f"/vcons?vcon_uuids={uuid_of(second)},{uuid4()},{uuid_of(first)}")
    assert repeated.status_code == 200
    assert repeated.content == joined.content == b"[%b,null,%b]" % (second, first)
    assert (await client.get("/vcons")).json() == []


async def test_several_vcons_must_be_uuids_and_not_too_many(client: httpx.AsyncClient) -> None:
    garbage = await client.get(f"/vcons?vcon_uuids={uuid4()},x")
    assert garbage.status_code == 422
    assert garbage.json()["detail"][0]["loc"] == ["query", "vcon_uuids", 1]
    many = ",".join(str(uuid4()) for _ in range(1_001))
    too_many = await client.get(f"/vcons?vcon_uuids={many}")
    assert too_many.status_code == 422
    assert too_many.json()["detail"][0]["type"] == "too_long"


async def test_search_joins_terms_by_and(client: httpx.AsyncClient) -> None:
    ann, bob = make_vcon(), make_vcon(parties=[{"tel": "+15551234", "name": "Bob"}])
    for document in (ann, bob):
        await client.post("/vcon", content=document)

    async def found(**terms: str) -> set[str]:
        response = await client.get("/vcons/search", params=terms)
        assert response.status_code == 200
        return set(response.json())

    assert await found(tel="+15551234") == {uuid_of(ann), uuid_of(bob)}
    assert await found(tel="tel:+15551234", name="Bob") == {uuid_of(bob)}
    assert await found(mailto="mailto:ann@example.org") == {uuid_of(ann)}
    assert await found(tel="+15551234", name="Nobody") == set()
    assert await found(tel="", name="Bob") == set()


@pytest.mark.parametrize("asked", ["%2B1 555", "+1 555", "tel:+1 555", "TEL:%2B1 555"])
async def test_a_number_is_found_however_the_query_writes_it(
    client: httpx.AsyncClient, asked: str
) -> None:
    document = make_vcon(parties=[{"tel": "tel:+1 555"}])
    await client.post("/vcon", content=document)
    found = await client.get(f"/vcons/search?tel={asked.replace(' ', '%20')}")
    assert found.json() == [uuid_of(document)]


@pytest.mark.parametrize("since", ["00:00:00+02:00", "00:00:00.5%2B02:00", "00:00:00.5+0200"])
async def test_an_offset_may_come_without_its_plus_escaped(
    client: httpx.AsyncClient, since: str
) -> None:
    for created_at in ("2024-01-01T21:00:00Z", "2024-01-01T23:00:00Z"):
        await client.post("/vcon", content=make_vcon(created_at=created_at))
    response = await client.get(f"/vcon?since=2024-01-02T{since}")
    assert (response.status_code, len(response.json())) == (200, 1)


async def test_search_without_terms_is_a_400(client: httpx.AsyncClient) -> None:
    response = await client.get("/vcons/search?other=1")
    assert response.status_code == 400
    assert response.json() == {"detail": "At least one search parameter must be provided"}
