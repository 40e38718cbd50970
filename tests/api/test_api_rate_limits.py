"""So many requests per key, and so many wrong keys per address."""

import httpx
import pytest
from api_doubles import KEY, Settings, World, make_vcon

from vconflow.api import build_asgi
from vconflow.api.failed_logins import FailedLogins
from vconflow.api.rate_limits import Buckets
from vconflow.ports.access import AccessRules, ApiKey, PartnerKey, RateLimit, Role
from vconflow.ports.component import Secret

HEADER = "x-conserver-api-token"


class Now:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def client_of(world: World, address: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build_asgi(world.services()), client=(address, 5))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def test_a_bucket_is_emptied_at_once_and_filled_slowly() -> None:
    now, rate = Now(), RateLimit(2.0, 3)
    buckets = Buckets(monotonic=now)
    taken = [buckets.take("a", rate) for _ in range(4)]
    assert [verdict.allowed for verdict in taken] == [True, True, True, False]
    assert [verdict.remaining for verdict in taken] == [2, 1, 0, 0]
    assert taken[3].retry_after == pytest.approx(0.5)
    assert taken[3].reset == 2
    assert buckets.take("b", rate).allowed
    now.seconds += 0.5
    assert buckets.take("a", rate).allowed
    assert not buckets.take("a", rate).allowed
    now.seconds += 3600
    assert buckets.take("a", rate).remaining == 2


def test_buckets_are_bounded() -> None:
    buckets, rate = Buckets(most=10), RateLimit(1.0, 1)
    for number in range(1000):
        buckets.take(str(number), rate)
    assert len(buckets) == 10


async def test_no_limit_by_default() -> None:
    async with client_of(World()) as client:
        for _ in range(100):
            response = await client.get("/vcon", headers=KEY)
            assert response.status_code == 200
    assert "x-ratelimit-limit" not in response.headers


async def test_a_key_that_asks_too_often_is_told_when_to_come_back() -> None:
    world = World(Settings(vconflow_rate_limit=0.1, vconflow_rate_burst=2))
    async with client_of(world) as client:
        for remaining in ("1", "0"):
            response = await client.post("/vcon", headers=KEY, content=make_vcon())
            assert response.status_code == 201
            assert response.headers["x-ratelimit-limit"] == "2"
            assert response.headers["x-ratelimit-remaining"] == remaining
        refused = await client.post("/vcon", headers=KEY, content=make_vcon())
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert 1 <= int(refused.headers["x-ratelimit-reset"]) <= 20
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert refused.json()["detail"].startswith("Rate limit exceeded")
        assert (await client.get("/health")).status_code == 200
    assert len(world.core.held) == 2


async def test_every_key_and_partner_has_its_own_bucket() -> None:
    slow = RateLimit(0.01, 1)
    world = World(
        access=AccessRules(
            (
                ApiKey("slow", Secret("slow"), Role.READ, slow),
                ApiKey("free", Secret("free"), Role.READ),
            ),
            {"inbox": (PartnerKey("acme", Secret("acme"), slow), PartnerKey("b", Secret("b")))},
        )
    )
    external = "/vcon/external-ingress?ingress_list=inbox"
    async with client_of(world) as client:
        for key, expected in (("slow", [200, 429]), ("free", [200, 200])):
            answers = [await client.get("/vcon", headers={HEADER: key}) for _ in range(2)]
            assert [answer.status_code for answer in answers] == expected
        for key, expected in (("acme", [204, 429]), ("b", [204, 204])):
            sent = {HEADER: key}
            answers = [
                await client.post(external, headers=sent, content=make_vcon()) for _ in range(2)
            ]
            assert [answer.status_code for answer in answers] == expected


async def test_guessing_is_stopped_and_nobody_who_was_known_is_locked_out() -> None:
    rules = AccessRules((ApiKey("late", Secret("late"), Role.READ),))
    world = World(Settings(vconflow_failed_logins=5), access=rules)
    app = build_asgi(world.services())

    async def status(key: str | None, address: str) -> int:
        transport = httpx.ASGITransport(app, client=(address, 5))
        headers = {} if key is None else {HEADER: key}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await client.get("/vcon", headers=headers)
        if response.status_code == 429:
            assert int(response.headers["retry-after"]) >= 1
        return response.status_code

    guesser, other = "2001:db8:0:1::5", "192.0.2.9"
    assert await status(KEY[HEADER], guesser) == 200
    assert [await status(f"guess-{number}", guesser) for number in range(7)] == [403] * 5 + [
        429
    ] * 2
    assert await status("guess", "2001:db8:0:1:ffff::1") == 429, "the same /64"
    assert await status("guess", "2001:db8:0:2::5") == 403, "another /64"
    assert await status("late", guesser) == 429, "a lucky guess tells nothing"
    assert await status(KEY[HEADER], guesser) == 200, "was right from there before"
    assert await status("late", other) == 200
    assert await status(None, guesser) == 403, "no key is no guess"


def test_the_tables_of_addresses_are_bounded_and_forget() -> None:
    now = Now()
    failed = FailedLogins(60, now, most=10)
    for number in range(1000):
        failed.failed(f"192.0.2.{number}")
        failed.succeeded(f"192.0.2.{number}", "main")
    assert len(failed._failed) == 10
    assert len(failed._proven) == 10
    for _ in range(100):
        failed.failed("a")
    assert failed.wait_of("a") > 0
    now.seconds += 2
    assert failed.wait_of("a") == 0
