"""Roles of keys, and rules that change while requests come in."""

import httpx
import pytest
from api_doubles import KEY, World, make_vcon, uuid_of

from vconflow.api import build_asgi
from vconflow.api.routes import ROUTES
from vconflow.api.routing import Auth
from vconflow.ports.access import AccessRules, ApiKey, Role
from vconflow.ports.component import Secret

HEADER = "x-conserver-api-token"
RULES = AccessRules(
    tuple(ApiKey(f"{role.name.lower()}er", Secret(role.name), role) for role in Role)
)
NEEDED = {Auth.READ: Role.READ, Auth.WRITE: Role.WRITE, Auth.ADMIN: Role.ADMIN}


async def ask(world: World, method: str, path: str, key: str, **more: object) -> httpx.Response:
    transport = httpx.ASGITransport(build_asgi(world.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, headers={HEADER: key}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        (route.methods.split()[0], route.path, NEEDED[route.auth])
        for route in ROUTES
        if route.auth in NEEDED
    ],
)
async def test_a_role_opens_what_is_below_it_and_nothing_else(
    method: str, path: str, needed: Role
) -> None:
    for role in Role:
        if role >= needed:
            continue
        response = await ask(World(access=RULES), method, path, role.name)
        assert response.status_code == 403
        has = role.name.lower()
        expected = f"API key '{has}er' has the role '{has}': this needs '{needed.name.lower()}'"
        assert response.json() == {"detail": expected}


async def test_roles_at_work() -> None:
    world, document = World(access=RULES), make_vcon()
    path = f"/vcon/{uuid_of(document)}"
    assert (await ask(world, "POST", "/vcon", "READ", content=document)).status_code == 403
    assert (await ask(world, "POST", "/vcon", "WRITE", content=document)).status_code == 201
    assert world.core.accepted[-1]["owner"] == "writeer"
    assert (await ask(world, "GET", path, "READ")).content == document
    assert (await ask(world, "GET", "/config", "WRITE")).status_code == 403
    assert (await ask(world, "GET", "/config", "ADMIN")).status_code == 200
    assert (await ask(world, "DELETE", path, "WRITE")).status_code == 204


async def test_the_keys_of_the_environment_may_do_everything() -> None:
    assert (await ask(World(access=RULES), "GET", "/config", KEY[HEADER])).status_code == 200


async def test_new_rules_count_for_the_next_request() -> None:
    world = World()
    transport = httpx.ASGITransport(build_asgi(world.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        sent = {HEADER: "READ"}
        assert (await client.get("/vcon", headers=sent)).status_code == 403
        world.access = RULES
        assert (await client.get("/vcon", headers=sent)).status_code == 200
        world.access = AccessRules((ApiKey("now", Secret("other"), Role.READ),))
        assert (await client.get("/vcon", headers=sent)).status_code == 403
        assert (await client.get("/vcon", headers={HEADER: "other"})).status_code == 200
