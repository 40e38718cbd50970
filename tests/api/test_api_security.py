"""Headers that keep browsers and caches from doing harm, and CORS."""

import httpx
import pytest
from api_doubles import KEY, Settings, World, make_vcon, uuid_of

from vconflow.api import build_asgi

ORIGIN = "https://app.example"


def client_of(world: World, scheme: str = "http") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build_asgi(world.services()))
    return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://test", headers=KEY)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/vcon", 200),
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("OPTIONS", "/vcon", 204),
        ("GET", "/vcon/not-a-uuid", 422),
        ("GET", "/nowhere", 404),
        ("PATCH", "/vcon", 405),
    ],
)
async def test_every_answer_carries_them(method: str, path: str, expected: int) -> None:
    async with client_of(World()) as client:
        response = await client.request(method, path)
    headers = response.headers
    assert response.status_code == expected
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers
    assert len(headers.get_list("cache-control")) == 1


async def test_conversations_are_not_kept_by_caches_but_can_be_revalidated() -> None:
    document = make_vcon()
    async with client_of(World()) as client:
        await client.post("/vcon", content=document)
        first = await client.get(f"/vcon/{uuid_of(document)}")
        assert first.headers["cache-control"] == "no-store"
        sent = {"if-none-match": first.headers["etag"]}
        again = await client.get(f"/vcon/{uuid_of(document)}", headers=sent)
    assert again.status_code == 304


async def test_the_documentation_has_a_policy_of_its_own() -> None:
    async with client_of(World()) as client:
        response = await client.get("/docs")
    assert response.status_code == 200
    (policy,) = response.headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    assert policy != "default-src 'none'; frame-ancestors 'none'"


async def test_hsts_comes_with_tls_only() -> None:
    async with client_of(World(), "https") as client:
        assert "max-age=" in (await client.get("/health")).headers["strict-transport-security"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "GET"])
async def test_preflights_of_configured_origins_are_answered(method: str) -> None:
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": method,
        "access-control-request-headers": "x-conserver-api-token, if-match, idempotency-key",
    }
    async with client_of(World(Settings(vconflow_cors_origins=(ORIGIN,)))) as client:
        del client.headers["x-conserver-api-token"]
        response = await client.options("/vcon/x", headers=asked)
        stranger = await client.options("/vcon/x", headers={**asked, "origin": "https://evil"})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert method in response.headers["access-control-allow-methods"]
    assert "if-match" in response.headers["access-control-allow-headers"]
    assert stranger.status_code == 400
    assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("/vcon", "wrong", 403),
        ("/vcon/external-ingress?ingress_list=inbox", "wrong", 403),
        ("/nowhere", "", 404),
        ("/vcon/not-a-uuid", None, 422),
    ],
)
async def test_refusals_carry_cors_headers_too(path: str, key: str | None, expected: int) -> None:
    world = World(Settings(vconflow_cors_origins=(ORIGIN,)))
    headers = {"origin": ORIGIN} | ({} if key is None else {"x-conserver-api-token": key})
    method = "POST" if "external" in path else "GET"
    async with client_of(world) as client:
        response = await client.request(method, path, headers=headers)
    assert response.status_code == expected
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "x-ratelimit-remaining" in response.headers["access-control-expose-headers"].lower()


async def test_credentials_are_never_allowed_to_all() -> None:
    async with client_of(World(Settings(vconflow_cors_origins=("*",)))) as client:
        response = await client.get("/vcon", headers={"origin": ORIGIN, "cookie": "a=b"})
    assert "access-control-allow-credentials" not in response.headers
