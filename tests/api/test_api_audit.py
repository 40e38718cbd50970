"""The audit log: who did what to which vCon, how it ended, and nothing else."""

import asyncio
import errno
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_doubles import KEY, Settings, World, make_vcon, uuid_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vconflow.api import build_asgi
from vconflow.ports.access import AccessRules, ApiKey, PartnerKey, RateLimit, Role
from vconflow.ports.component import Secret
from vconflow.telemetry import log, metrics
from vconflow.telemetry.audit import AuditEvent, AuditLog, Level, open_audit

HEADER = "x-conserver-api-token"


class Recorded:
    """An application that writes its audit log into a list."""

    def __init__(self, level: Level = Level.ALL, **world: Any) -> None:
        self.raw = b""
        self.world = World(audit=AuditLog(level, self._write), **world)
        app = build_asgi(self.world.services())
        transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test", headers=KEY)

    def _write(self, line: bytes) -> None:
        self.raw += line

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.splitlines()]


async def test_who_what_which_and_how() -> None:
    recorded, document = Recorded(), make_vcon()
    uuid, client = uuid_of(document), recorded.client
    sent = {"x-request-id": "req-1", "x-forwarded-for": "203.0.113.1"}
    await client.post("/api/vcon?ingress_lists=inbox", content=document, headers=sent)
    await client.get(f"/vcon/{uuid}")
    await client.put(f"/vcon/{uuid}", content=document)
    await client.get("/vcons", params={"vcon_uuids": uuid})
    await client.post("/vcon/ingress?ingress_list=second", json=[uuid])
    await client.delete(f"/vcon/{uuid}")
    recorded.world.egress.fill("out", [uuid])
    await client.get("/vcon/egress?egress_list=out")
    await client.post("/vcons", content=document, headers={"content-type": "application/x-ndjson"})
    first, *rest = recorded.lines
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "stream": "audit",
        "action": "POST /vcon",
        "status": 201,
        "key": "main",
        "role": "admin",
        "client": "192.0.2.7",
        "request_id": "req-1",
        "about": {"lists": ["inbox"], "uuid": uuid},
    }
    assert [(line["action"], line["status"], line.get("about")) for line in rest] == [
        ("GET /vcon/{vcon_uuid}", 200, {"vcon_uuid": uuid}),
        ("PUT /vcon/{vcon_uuid}", 200, {"vcon_uuid": uuid}),
        ("GET /vcons", 200, {"uuids": [uuid]}),
        ("POST /vcon/ingress", 204, {"list": "second", "uuids": [uuid]}),
        ("DELETE /vcon/{vcon_uuid}", 204, {"vcon_uuid": uuid}),
        ("GET /vcon/egress", 200, {"list": "out", "uuids": [uuid]}),
        ("POST /vcons", 200, {"lists": [], "accepted": 0}),
    ]


async def test_an_address_that_a_client_made_up_is_cut() -> None:
    recorded = Recorded()
    transport = httpx.ASGITransport(build_asgi(recorded.world.services()), client=("a" * 60_000, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/vcon", headers={HEADER: "wrong"})).status_code == 403
    assert recorded.lines[0]["client"] == "a" * 64


async def test_refusals_are_told_at_every_level() -> None:
    rate = RateLimit(0.01, 1)
    rules = AccessRules(
        (ApiKey("viewer", Secret("v"), Role.READ), ApiKey("slow", Secret("s"), Role.READ, rate)),
        {"inbox": (PartnerKey("acme", Secret("a")),)},
    )
    recorded = Recorded(Level.ADMIN, access=rules)
    client = recorded.client
    await client.get("/vcon", headers={HEADER: "the-wrong-key"})
    await client.get("/config", headers={HEADER: "v"})
    await client.get("/vcon", headers={HEADER: "s"})
    await client.get("/vcon", headers={HEADER: "s"})
    external = "/vcon/external-ingress?ingress_list=inbox"
    await client.post(external, headers={HEADER: "a"}, content=make_vcon())
    await client.post(external, content=make_vcon())
    found = [(line["key"], line["role"], line["action"], line["status"]) for line in recorded.lines]
    assert found == [
        ("", "", "GET /vcon", 403),
        ("viewer", "read", "GET /config", 403),
        ("slow", "read", "GET /vcon", 429),
        ("", "", "POST /vcon/external-ingress", 403),
    ]
    assert b"the-wrong-key" not in recorded.raw
    assert KEY[HEADER].encode() not in recorded.raw


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Level.OFF, []),
        (Level.ADMIN, ["GET /config"]),
        (Level.CHANGES, ["POST /vcon", "GET /config"]),
        (Level.ALL, ["POST /vcon", "GET /vcon", "GET /config"]),
    ],
)
async def test_levels(level: Level, expected: list[str]) -> None:
    recorded = Recorded(level)
    await recorded.client.post("/vcon", content=make_vcon())
    await recorded.client.get("/vcon")
    await recorded.client.get("/config")
    await recorded.client.get("/health")
    await recorded.client.get("/nowhere")
    assert [line["action"] for line in recorded.lines] == expected


MARKER = "MARKERmarkerMARKER"
texts = st.text(max_size=8).map(lambda text: f"{text}{MARKER}{text}")
leaves = st.one_of(texts, st.integers(), st.none(), st.booleans(), st.floats())
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ("uuid", "vcon", "created_at", "parties", "dialog", "analysis", "attachments", MARKER)


def messages_of(response: httpx.Response) -> str:
    """What is said of a configuration, without its places: these name its own members."""
    detail = response.json()["detail"] if response.content else ""
    return detail if isinstance(detail, str) else str([problem["msg"] for problem in detail])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.dictionaries(st.sampled_from(MEMBERS), values, min_size=1),
    damage=st.sampled_from([b"", b"}", b"\xff", b"\x00", b", NaN"]),
    cut=st.integers(0, 40),
    route=st.sampled_from(["/vcon", "/vcons", "/vcon/ingress?ingress_list=inbox", "/config"]),
    kind=st.sampled_from(["application/json", "application/x-ndjson"]),
)
@example(
    changes={"uuid": {MARKER: 2**64}},
    damage=b"",
    cut=0,
    route="/config",
    kind="application/json",
)
async def test_no_answer_log_or_audit_line_quotes_a_conversation(
    changes: dict[str, Any], damage: bytes, cut: int, route: str, kind: str
) -> None:
    recorded, logged = Recorded(), io.StringIO()
    document = json.loads(make_vcon()) | changes
    body = json.dumps(document).encode()
    body = body[: len(body) - cut] + damage
    log.configure("debug", pretty=False, to=logged)
    try:
        headers = {"content-type": kind}
        response = await recorded.client.post(route, content=body, headers=headers)
    finally:
        log.configure()
    assert response.status_code != 500
    if response.status_code != 201:
        assert MARKER not in (response.text if route != "/config" else messages_of(response))
        assert MARKER not in str(response.headers)
    assert MARKER.encode() not in recorded.raw
    assert MARKER not in logged.getvalue()


def event(number: int = 0) -> AuditEvent:
    return AuditEvent(AuditLog.now(), "GET /x", 200, "main", "admin", "", str(number))


async def test_a_file_is_appended_to_and_followed_when_it_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text('{"before": 1}\n')
    async with open_audit(Level.ALL, path) as audit:
        audit.add(event(1))
        async with asyncio.timeout(30):
            while '"request_id":"1"' not in path.read_text().replace(" ", ""):
                await asyncio.sleep(0.01)
        path.rename(tmp_path / "audit.log.1")
        audit.add(event(2))
    old = (tmp_path / "audit.log.1").read_text().splitlines()
    assert [json.loads(line).get("request_id") for line in old] == [None, "1"]
    assert json.loads(path.read_text())["request_id"] == "2"
    assert path.stat().st_mode & 0o777 == 0o600


async def test_nothing_is_lost_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    async with open_audit(Level.ALL, path) as audit:
        for number in range(5000):
            audit.add(event(number))
    assert len(path.read_text().splitlines()) == 5000


async def test_lines_go_to_a_stream_without_a_file() -> None:
    stream = io.StringIO()
    async with open_audit(Level.ALL, None, stream) as audit:
        audit.add(event())
    assert json.loads(stream.getvalue())["stream"] == "audit"


def lost() -> float:
    return metrics.REGISTRY.get_sample_value("vconflow_audit_lost_total") or 0.0


async def test_a_full_disk_loses_lines_but_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, is_full = tmp_path / "audit.log", True
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if is_full:
            if len(data) > 10:
                return write(descriptor, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    def torn(descriptor: int, data: bytes) -> int:
        if is_full and path.stat().st_size >= 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return full(descriptor, data)

    monkeypatch.setattr("vconflow.telemetry.audit.os.write", torn)
    before = lost()
    async with open_audit(Level.ALL, path) as audit:
        world = World(audit=audit)
        transport = httpx.ASGITransport(build_asgi(world.services()))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=KEY
        ) as client:
            for _ in range(3):
                assert (await client.post("/vcon", content=make_vcon())).status_code == 201
            async with asyncio.timeout(30):
                while lost() < before + 3:
                    await asyncio.sleep(0.01)
            assert lost() == before + 3
            is_full = False
            await client.get("/vcon")
    half, whole = path.read_text().splitlines()
    assert len(half) == 10
    assert json.loads(whole)["action"] == "GET /vcon"


async def test_a_disk_that_hangs_holds_up_nobody_and_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, begun = os.write, time.monotonic()

    def slow(descriptor: int, data: bytes) -> int:
        time.sleep(1)
        return write(descriptor, data)

    monkeypatch.setattr("vconflow.telemetry.audit.os.write", slow)
    monkeypatch.setattr("vconflow.telemetry.audit._MOST_BYTES", 10_000)
    before = lost()
    async with open_audit(Level.ALL, tmp_path / "audit.log") as audit:
        for number in range(1000):
            audit.add(event(number))
        assert time.monotonic() - begun < 1
    kept = 1000 - int(lost() - before)
    assert 0 < kept < 1000
    assert len((tmp_path / "audit.log").read_text().splitlines()) == kept


async def test_the_settings_have_no_audit_by_accident() -> None:
    assert not World(Settings()).audit.wants(Level.ADMIN, 403)
