"""API keys: one in the settings, more in a file that changes."""

import os
from pathlib import Path

import httpx
import pytest
from api_doubles import KEY, Settings, World

from vconflow.api import build_asgi
from vconflow.api.auth import Authenticator
from vconflow.api.refusals import Forbidden
from vconflow.api.routes import ROUTES
from vconflow.api.routing import Auth
from vconflow.errors import Unavailable
from vconflow.ports.component import Secret

HEADER = "x-conserver-api-token"
OPEN_ROUTES = {"/version", "/health", "/ready", "/metrics"}


class Now:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def headers(key: str) -> dict[bytes, bytes]:
    return {HEADER.encode(): key.encode()}


async def request(world: World, method: str, url: str, **kwargs: object) -> httpx.Response:
    transport = httpx.ASGITransport(build_asgi(world.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, url, **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path"),
    [(route.methods.split()[0], route.path) for route in ROUTES if route.auth not in {Auth.STATS, Auth.NONE}],
)
@pytest.mark.parametrize("sent", [{}, {HEADER: "wrong"}, {HEADER: ""}])
async def test_every_route_of_the_api_needs_the_key(
    world: World, method: str, path: str, sent: dict[str, str]
) -> None:
    response = await request(world, method, path, headers=sent)
    assert response.status_code == 403
    assert response.json() == {"detail": "Invalid API Key"}


def test_only_these_routes_are_open() -> None:
    assert {route.path for route in ROUTES if route.auth is Auth.NONE} == OPEN_ROUTES
    assert {route.path for route in ROUTES if route.auth is Auth.STATS} == {"/stats/queue"}


async def test_stats_are_public_unless_closed() -> None:
    url = "/stats/queue?list_name=out"
    closed = World(Settings(vconflow_public_stats=False))
    assert (await request(World(), "GET", url)).status_code == 200
    assert (await request(closed, "GET", url)).status_code == 403
    assert (await request(closed, "GET", url, headers=KEY)).status_code == 200


async def test_without_any_key_everyone_is_let_in() -> None:
    world = World(Settings(conserver_api_token=None))
    assert (await request(world, "GET", "/vcon")).status_code == 200


async def test_the_header_can_be_renamed() -> None:
    world = World(Settings(conserver_header_name="X-My-Key"))
    right = KEY[HEADER]
    assert (await request(world, "GET", "/vcon", headers={"x-my-key": right})).status_code == 200
    assert (await request(world, "GET", "/vcon", headers=KEY)).status_code == 403


async def test_keys_of_the_file_come_beside_the_main_one(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\n  first  \n\nsecönd\n")
    keys = Authenticator(HEADER, Secret("main-key"), file)
    assert await keys.admit(headers("main-key")) == "main"
    first = await keys.admit(headers("first"))
    assert first.startswith("file:")
    assert "first" not in first
    assert await keys.admit(headers("secönd")) not in ("main", first)
    for wrong in ("", "fir", "first ", "third"):
        with pytest.raises(Forbidden):
            await keys.admit(headers(wrong))


async def test_the_file_is_looked_at_again_once_a_second(tmp_path: Path) -> None:
    file, now = tmp_path / "keys", Now()
    file.write_text("old")
    keys = Authenticator(HEADER, None, file, monotonic=now)
    owner = await keys.admit(headers("old"))
    replacement = tmp_path / "new"
    replacement.write_text("more\nold")
    replacement.rename(file)
    now.seconds = 0.9
    with pytest.raises(Forbidden):
        await keys.admit(headers("more"))
    now.seconds = 1.1
    assert await keys.admit(headers("more"))
    assert await keys.admit(headers("old")) == owner
    file.write_text("more")
    os.utime(file, ns=(1, 1))
    now.seconds = 2.2
    with pytest.raises(Forbidden):
        await keys.admit(headers("old"))


async def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\n\n")
    keys = Authenticator(HEADER, None, file)
    for key in ("", "any"):
        with pytest.raises(Forbidden):
            await keys.admit(headers(key))


async def test_keys_outlive_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    file, now = tmp_path / "keys", Now()
    keys = Authenticator(HEADER, None, file, monotonic=now)
    with pytest.raises(Unavailable):
        await keys.admit(headers("key"))
    file.write_text("key")
    now.seconds = 2
    assert await keys.admit(headers("key"))
    file.unlink()
    now.seconds = 4
    assert await keys.admit(headers("key"))
    with pytest.raises(Forbidden):
        await keys.admit(headers("other"))
