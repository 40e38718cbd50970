"""What every reply has, how requests are routed, and the routes about the process itself."""

import asyncio
import re

import httpx
import pytest
import structlog
from api_doubles import KEY, Settings, World, make_vcon, uuid_of

from vconflow.api import Dependency, build_asgi
from vconflow.api.errors import error_response, status_of
from vconflow.api.lists import ingress
from vconflow.api.routing import Auth, Route, Router
from vconflow.errors import (
    Conflict,
    InvalidVcon,
    NotFound,
    Overloaded,
    Permanent,
    Problem,
    Retryable,
    RevisionMismatch,
    Unavailable,
)

VERSION = {"version": "1.2.3", "git_commit": "abc123", "build_time": "2026-01-02"}


async def test_version_and_health(client: httpx.AsyncClient, world: World) -> None:
    world.core.error = Unavailable("Redis is away")
    assert (await client.get("/version")).json() == VERSION
    health = await client.get("/api/health")
    assert health.status_code == 200
    assert health.json() == {"status": "healthy", "version": VERSION}


async def test_ready_names_each_dependency(client: httpx.AsyncClient, world: World) -> None:
    ready = await client.get("/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "dependencies": [{"name": "redis", "ok": True, "ms": 0.4, "error": "", "required": True}],
    }
    late = Dependency("storage:pg", ok=False, ms=5.0, error="refused", required=False)
    world.dependencies.append(late)
    degraded = await client.get("/ready")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    world.dependencies.append(Dependency("pg", ok=False, ms=5.0, error="refused"))
    unready = await client.get("/ready")
    assert unready.status_code == 503
    assert [item["ok"] for item in unready.json()["dependencies"]] == [True, False, False]


async def test_a_stopping_process_is_not_ready_but_still_accepts(
    client: httpx.AsyncClient, world: World
) -> None:
    world.stopping = True
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
    assert (await client.post("/vcon", content=make_vcon())).status_code == 201


async def test_metrics_tell_requests_by_route_and_never_by_path(
    client: httpx.AsyncClient,
) -> None:
    uuid = uuid_of(make_vcon())
    await client.get(f"/api/vcon/{uuid}")
    await client.get(f"/nowhere/{uuid}")
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    for labels in (
        'method="GET",route="/vcon/{vcon_uuid}",status="404"',
        'method="GET",route="unmatched",status="404"',
    ):
        assert f"vconflow_http_seconds_count{{{labels}}}" in response.text
    assert uuid not in response.text


async def test_config_is_shown_masked(client: httpx.AsyncClient) -> None:
    response = await client.get("/config")
    options = {"host": "db.example", "password": "***"}
    assert response.json()["storages"]["pg"]["options"] == options


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_reindex_counts_documents(client: httpx.AsyncClient, method: str) -> None:
    await client.post("/vcon", content=make_vcon())
    response = await client.request(method, "/index_vcons")
    assert (response.status_code, response.text) == (200, "1")


@pytest.mark.parametrize(
    ("method", "url", "sent"),
    [
        ("GET", "/version", {}),
        ("GET", "/nowhere", {}),
        ("PATCH", "/vcon", {}),
        ("OPTIONS", "/vcon", {}),
        ("GET", "/vcon", {"x-conserver-api-token": "wrong"}),
    ],
)
async def test_every_reply_says_what_answered_and_to_which_request(
    client: httpx.AsyncClient, method: str, url: str, sent: dict[str, str]
) -> None:
    response = await client.request(method, url, headers=sent)
    assert response.headers["x-vcon-server-version"] == "1.2.3"
    assert response.headers["x-vcon-server-commit"] == "abc123"
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize("valid", ["a", "A-1_b.c", "x" * 128])
async def test_a_valid_request_id_is_kept(client: httpx.AsyncClient, valid: str) -> None:
    response = await client.get("/version", headers={"x-request-id": valid})
    assert response.headers["x-request-id"] == valid


@pytest.mark.parametrize("invalid", ["", "x" * 129, "a b", "a\u00e4", "a;b"])
async def test_an_invalid_request_id_is_replaced(client: httpx.AsyncClient, invalid: str) -> None:
    sent = [(b"x-request-id", invalid.encode("latin-1"))]
    response = await client.get("/version", headers=sent)
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_the_request_id_is_bound_to_log_lines(world: World) -> None:
    seen = {}

    async def readiness() -> list[Dependency]:
        seen.update(structlog.contextvars.get_contextvars())
        return []

    services = world.services()
    object.__setattr__(services, "readiness", readiness)
    transport = httpx.ASGITransport(build_asgi(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.get("/ready", headers={"x-request-id": "mine"})
    assert seen["request_id"] == "mine"
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("path", ["/vcon", "/vcon/", "/api/vcon", "/api/vcon/"])
async def test_routes_with_and_without_prefix(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).json() == []


@pytest.mark.parametrize(("prefix", "path"), [("v1/x/", "/v1/x"), ("/", ""), ("", "")])
async def test_the_prefix_is_configurable(prefix: str, path: str) -> None:
    world = World(Settings(api_root_path=prefix))
    transport = httpx.ASGITransport(build_asgi(world.services()))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=KEY
    ) as client:
        document = make_vcon()
        await client.post(f"{path}/vcon", content=document)
        assert (await client.get(f"{path}/vcon/{uuid_of(document)}")).content == document
        assert (await client.get("/api/vcon")).status_code == 404


@pytest.mark.parametrize("path", ["/", "", "/nowhere", "/api", "/vcon/a/b", "/api/api/vcon"])
async def test_an_unknown_path(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/vcon", "GET, HEAD, POST, OPTIONS"),
        ("DELETE", "/vcon/egress", "GET, OPTIONS"),
        ("POST", "/vcon/count", "GET, HEAD, OPTIONS"),
        ("PATCH", "/vcon/some-uuid", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ],
)
async def test_a_wrong_method_names_the_right_ones(
    client: httpx.AsyncClient, method: str, path: str, allow: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
    assert response.headers["allow"] == allow
    options = await client.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, allow)


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    await client.post("/vcon", content=document)
    head = await client.head(f"/vcon/{uuid_of(document)}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(document))


def test_a_route_cannot_stand_twice_in_the_table() -> None:
    twice = [Route("POST", "/same", ingress, Auth.WRITE, "x")] * 2
    with pytest.raises(ValueError, match="POST /same stands twice"):
        Router(twice, "/api")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidVcon([Problem(("dialog", 0), "wrong")]), 422),
        (NotFound("none"), 404),
        (RevisionMismatch("moved"), 412),
        (Conflict("held"), 409),
        (Overloaded("busy"), 503),
        (Unavailable("away"), 503),
        (Retryable("later"), 503),
        (Permanent("refused by a storage"), 500),
        (ValueError("a bug"), 500),
    ],
)
def test_each_error_has_one_status(error: Exception, status: int) -> None:
    assert status_of(error) == status == error_response(error).status_code


@pytest.mark.parametrize(("after", "header"), [(None, "1"), (0.2, "1"), (2.4, "3")])
async def test_an_outage_asks_to_come_back(
    client: httpx.AsyncClient, world: World, after: float | None, header: str
) -> None:
    world.core.error = Unavailable("Redis is away", retry_after=after)
    response = await client.post("/vcon", content=make_vcon())
    assert (response.status_code, response.json()) == (503, {"detail": "Redis is away"})
    assert response.headers["retry-after"] == header


async def test_a_bug_is_a_500_that_tells_nothing(client: httpx.AsyncClient, world: World) -> None:
    world.core.error = ZeroDivisionError("with a secret")
    with structlog.testing.capture_logs() as lines:
        response = await client.get("/vcon")
    assert response.status_code == 500
    assert response.json() == {"detail": "Internal Server Error"}
    assert response.headers["x-request-id"]
    assert any(line["log_level"] == "error" for line in lines)


async def test_cors_answers_configured_origins_only() -> None:
    world = World(Settings(vconflow_cors_origins=("https://ui.example.org",)))
    transport = httpx.ASGITransport(build_asgi(world.services()))
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-a"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        good = await client.options("/vcon", headers={"origin": "https://ui.example.org", **asked})
        evil = await client.options("/vcon", headers={"origin": "https://evil.example", **asked})
        read = await client.get("/version", headers={"origin": "https://ui.example.org"})
    assert good.headers["access-control-allow-origin"] == "https://ui.example.org"
    assert good.headers["x-request-id"]
    assert evil.status_code == 400
    assert "access-control-allow-origin" not in evil.headers
    assert read.headers["access-control-allow-origin"] == "https://ui.example.org"
    assert "access-control-allow-credentials" not in read.headers


async def test_without_origins_there_is_no_cors(client: httpx.AsyncClient) -> None:
    response = await client.get("/version", headers={"origin": "https://ui.example.org"})
    assert "access-control-allow-origin" not in response.headers


async def test_what_is_not_http_is_declined(world: World) -> None:
    app = build_asgi(world.services())
    sent: list[dict[str, object]] = []
    received: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    async def send(message: object) -> None:
        sent.append(message)  # type: ignore[arg-type]

    for kind in ("lifespan.startup", "lifespan.shutdown"):
        received.put_nowait({"type": kind})
    await app({"type": "lifespan"}, received.get, send)
    await app({"type": "websocket"}, received.get, send)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
        "websocket.close",
    ]
