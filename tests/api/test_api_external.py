"""POST /vcon/external-ingress: partners, their keys, and nothing but their lists."""

import httpx
import pytest
from api_doubles import KEY, Settings, World, make_vcon, uuid_of

from vconflow.api import build_asgi
from vconflow.api.routes import ROUTES
from vconflow.api.routing import Auth
from vconflow.ports.access import AccessRules, PartnerKey
from vconflow.ports.component import Secret
from vconflow.telemetry import metrics

HEADER = "x-conserver-api-token"
PATH = "/vcon/external-ingress"
RULES = AccessRules(
    partners={
        "inbox": (PartnerKey("acme", Secret("acme-key")), PartnerKey("key-12", Secret("other"))),
        "second": (PartnerKey("beta", Secret("beta-key")),),
        "gone": (PartnerKey("gamma", Secret("gamma-key")),),
    }
)


async def post(
    world: World, key: str | None, list_name: str | None = "inbox", **more: object
) -> httpx.Response:
    transport = httpx.ASGITransport(build_asgi(world.services()))
    params = {} if list_name is None else {"ingress_list": list_name}
    headers = {} if key is None else {HEADER: key}
    headers |= more.pop("headers", {})  # type: ignore[arg-type]
    content = more.pop("content", None) or make_vcon()
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(PATH, params=params, headers=headers, content=content)  # type: ignore[arg-type]


async def test_a_partner_feeds_its_list() -> None:
    world, document = World(access=RULES), make_vcon()
    labels = {"list": "inbox", "key": "acme"}
    name = "vconflow_partner_accepted_total"
    before = metrics.REGISTRY.get_sample_value(name, labels) or 0
    headers = {"idempotency-key": "once"}
    response = await post(world, "acme-key", content=document, headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert world.core.lists == {"inbox": [uuid_of(document)]}
    (accepted,) = world.core.accepted
    assert accepted["owner"] == "partner:acme"
    assert accepted["exclusive"] is True
    assert accepted["key"] == "once"
    assert metrics.REGISTRY.get_sample_value(name, labels) == before + 1


@pytest.mark.parametrize(
    ("rules", "key", "list_name", "detail"),
    [
        (RULES, None, "inbox", "API Key required"),
        (RULES, "", "inbox", "API Key required"),
        (AccessRules(), "acme-key", "inbox", "No ingress authentication configured"),
        (RULES, "acme-key", "nowhere", "Ingress list 'nowhere' not configured"),
        (RULES, "wrong", "inbox", "Invalid API Key for ingress list 'inbox'"),
        (RULES, "acme-key", "second", "Invalid API Key for ingress list 'second'"),
        (RULES, KEY[HEADER], "inbox", "Invalid API Key for ingress list 'inbox'"),
    ],
)
async def test_refusals_in_the_words_that_clients_know(
    rules: AccessRules, key: str | None, list_name: str, detail: str
) -> None:
    world = World(access=rules)
    # Refused before the body is looked at, whatever it is.
    for content in (make_vcon(), b"garbage", b"x" * 2_000_000):
        response = await post(world, key, list_name, content=content)
        assert (response.status_code, response.json()) == (403, {"detail": detail})
    assert world.core.held == {}


async def test_an_open_api_is_not_open_for_partners() -> None:
    world = World(Settings(conserver_api_token=None), access=RULES)
    assert (await post(world, "wrong")).status_code == 403
    assert (await post(world, "acme-key")).status_code == 204


async def test_the_list_must_be_named() -> None:
    response = await post(World(access=RULES), "acme-key", None)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "ingress_list"]


async def test_a_list_that_no_chain_reads_is_not_found() -> None:
    assert (await post(World(access=RULES), "gamma-key", "gone")).status_code == 404


async def test_a_bad_vcon_is_refused_with_its_place() -> None:
    response = await post(World(access=RULES), "acme-key", content=b'{"vcon": "0.0.1"}')
    assert response.status_code == 422


async def test_a_partner_cannot_overwrite_what_another_stored() -> None:
    world, document = World(access=RULES), make_vcon(subject="nobody's business")
    assert (await post(world, "acme-key", content=document)).status_code == 204
    theirs = make_vcon(uuid_of(document), subject="mine now")
    for key, list_name in (("beta-key", "second"), ("other", "inbox")):
        response = await post(world, key, list_name, content=theirs)
        assert response.status_code == 409
        assert "business" not in response.text
        assert "acme" not in response.text
    assert world.core.held[uuid_of(document)].document == document
    again = make_vcon(uuid_of(document), subject="a correction")
    assert (await post(world, "acme-key", content=again)).status_code == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (route.methods.split()[0], route.path)
        for route in ROUTES
        if route.auth not in {Auth.STATS, Auth.NONE, Auth.PARTNER}
    ],
)
async def test_a_partner_key_opens_nothing_else(method: str, path: str) -> None:
    transport = httpx.ASGITransport(build_asgi(World(access=RULES).services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.request(method, path, headers={HEADER: "acme-key"})
    assert (response.status_code, response.json()) == (403, {"detail": "Invalid API Key"})
