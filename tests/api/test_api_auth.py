"""API keys: one in the settings, more in a file that changes."""

import asyncio
import hmac
import os
from collections import Counter
from pathlib import Path

import httpx
import pytest
from api_doubles import KEY, Settings, World

from vconflow.api import build_asgi
from vconflow.api.access import Caller, KeyRing
from vconflow.api.auth import Authenticator
from vconflow.api.refusals import Forbidden
from vconflow.api.routes import ROUTES
from vconflow.api.routing import Auth
from vconflow.errors import Unavailable
from vconflow.ports.access import AccessRules, ApiKey, Role
from vconflow.ports.component import Secret

HEADER = "x-conserver-api-token"
OPEN_ROUTES = {"/version", "/health", "/ready", "/metrics", "/openapi.json"} | {
    "/docs",
    "/docs/{asset}",
    "/status",
    "/status/{asset}",
}


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
    [
        (route.methods.split()[0], route.path)
        for route in ROUTES
        if route.auth not in {Auth.STATS, Auth.NONE, Auth.PARTNER}
    ],
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
    assert await keys.admit(headers("main-key")) == Caller("main", Role.ADMIN)
    first = await keys.admit(headers("first"))
    assert first.name.startswith("file:")
    assert "first" not in first.name
    assert first.role is Role.ADMIN
    assert (await keys.admit(headers("secönd"))).name not in ("main", first.name)
    for wrong in ("", "fir", "first ", "third"):
        with pytest.raises(Forbidden):
            await keys.admit(headers(wrong))


async def test_keys_that_leave_the_file_are_refused_within_a_second(tmp_path: Path) -> None:
    file, now = tmp_path / "keys", Now()
    file.write_text("old\nstays")
    keys = Authenticator(HEADER, None, file, monotonic=now)
    owner = await keys.admit(headers("stays"))
    assert await keys.admit(headers("old"))
    file.write_text("stays")
    os.utime(file, ns=(1, 1))
    now.seconds = 0.9
    assert await keys.admit(headers("old"))
    now.seconds = 1.1
    with pytest.raises(Forbidden):
        await keys.admit(headers("old"))
    assert await keys.admit(headers("stays")) == owner


async def test_a_key_that_is_new_in_the_file_is_valid_at_once(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old")
    keys = Authenticator(HEADER, None, file, monotonic=Now())
    assert await keys.admit(headers("old"))
    replacement = tmp_path / "new"
    replacement.write_text("more\nold")
    replacement.rename(file)
    assert await keys.admit(headers("more"))


async def test_a_file_that_is_empty_while_it_is_written_refuses_nobody(tmp_path: Path) -> None:
    file, now, wall = tmp_path / "keys", Now(), Now()
    file.write_text("key")
    written = file.stat().st_mtime
    keys = Authenticator(HEADER, None, file, monotonic=now, wall=wall)
    wall.seconds = written
    assert await keys.admit(headers("key"))
    file.write_text("")
    os.utime(file, (written + 2, written + 2))
    now.seconds, wall.seconds = 2, written + 2.1
    assert await keys.admit(headers("key"))
    now.seconds, wall.seconds = 4, written + 4.1
    with pytest.raises(Forbidden):
        await keys.admit(headers("key"))


async def test_rotation_under_load_refuses_no_request(tmp_path: Path) -> None:
    """Each generation of keys is used as soon as it stands in the file; the one before stays."""
    file = tmp_path / "keys"
    file.write_text("0")
    world = World(Settings(conserver_api_token=None, conserver_api_token_file=str(file)))
    transport = httpx.ASGITransport(build_asgi(world.services()))
    current, done = 0, False
    statuses, answered = Counter[int](), Counter[int]()

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/vcon", headers={HEADER: "0"})).status_code == 200

        async def call() -> None:
            while not done:
                used = current
                response = await client.get("/vcon", headers={HEADER: str(used)})
                statuses[response.status_code] += 1
                answered[used] += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(call())
            for generation in range(1, 40):
                # In place, as `echo > file` does it: truncated first, filled after.
                with file.open("w") as writing:
                    await asyncio.sleep(0.005)
                    writing.write(f"{generation - 1}\n{generation}\n")
                current = generation
                while answered[generation] < 8:
                    await asyncio.sleep(0.001)
            done = True
    assert set(statuses) == {200}


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


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    keys = ["a", "b" * 500, "schlüssel", "日本"]
    ring = KeyRing((key, Caller(key, Role.READ)) for key in keys)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    counts = set()
    for given in (*keys, "", "a" * 10_000, "x"):
        compared.clear()
        ring.find(given.encode())
        counts.add(len(compared))
        assert len(set(compared)) == 1, "all digests are of one length"
    assert len(counts) == 1


@pytest.mark.parametrize("key", ["a", "b" * 500, "schlüssel", "日本", "with blanks in it"])
def test_keys_of_any_script_are_found(key: str) -> None:
    ring = KeyRing([(key, Caller("it", Role.READ)), ("other", Caller("other", Role.READ))])
    found = ring.find(key.encode())
    assert found is not None
    assert found.name == "it"
    assert ring.find(key.encode() + b" ") is None
    assert ring.find(key.encode()[:-1]) is None


def test_a_key_may_be_sent_as_latin_1() -> None:
    ring = KeyRing([("schlüssel", Caller("it", Role.READ))])
    assert ring.find("schlüssel".encode("latin-1"))


async def test_taking_the_last_key_away_does_not_open_the_api() -> None:
    world = World(Settings(conserver_api_token=None))
    app = build_asgi(world.services())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/vcon")).status_code == 200
        world.access = AccessRules((ApiKey("one", Secret("k"), Role.READ),))
        assert (await client.get("/vcon")).status_code == 403
        assert (await client.get("/vcon", headers={HEADER: "k"})).status_code == 200
        world.access = AccessRules()
        assert (await client.get("/vcon")).status_code == 403
        assert (await client.get("/vcon", headers={HEADER: "k"})).status_code == 403
