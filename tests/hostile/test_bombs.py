"""Small bodies that would become large ones: many at once, and the memory stays bounded."""

import gzip
import json
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from stage import JSON, KEY, LIMIT, Stage, vcon

AT_ONCE = 8
ALLOWED = 700 * 1024
"""KiB: that many bodies of the limit at once, held once packed and once unpacked, and slack."""

Bomb = Callable[[], bytes]


def zeros(size: int, level: int = 9) -> bytes:
    """Gzip of so many zeros, about a thousandth of the size."""
    packer = zlib.compressobj(level, wbits=31)
    chunk = bytes(1024 * 1024)
    packed = b"".join(packer.compress(chunk) for _ in range(size // len(chunk)))
    return packed + packer.flush()


def string_bomb() -> bytes:
    """A vCon with one string of 200 MB."""
    packer = zlib.compressobj(9, wbits=31)
    head = json.dumps(vcon(x="")).encode()[:-2]
    parts = [packer.compress(head)]
    parts += [packer.compress(b"a" * 1_000_000) for _ in range(200)]
    return b"".join([*parts, packer.compress(b'"}'), packer.flush()])


def nested(bomb: bytes, depth: int) -> bytes:
    for _ in range(depth):
        bomb = gzip.compress(bomb)
    return bomb


def in_payload(packed: bytes, **header: str) -> bytes:
    payload = urlsafe_b64encode(packed).rstrip(b"=").decode()
    return json.dumps({"payload": payload, "signatures": [{"header": header}]}).encode()


BOMBS: dict[str, tuple[Bomb, tuple[int, ...]]] = {
    "1000:1": (lambda: zeros(1024 * 1024 * 1024), (413,)),
    "a string of 200 MB": (string_bomb, (413,)),
    "nested": (lambda: nested(zeros(512 * 1024 * 1024), 1), (413,)),
    "nested five times": (lambda: nested(zeros(64 * 1024 * 1024), 5), (413, 422)),
    "100,000 empty members": (lambda: gzip.compress(b"") * 100_000, (422,)),
    "many members": (lambda: zeros(1024 * 1024) * 200, (413,)),
    "garbage after the member": (lambda: gzip.compress(b"{}") + b"garbage", (422,)),
    "cut short": (lambda: zeros(8 * 1024 * 1024)[:-20], (422,)),
    "wrong checksum": (lambda: gzip.compress(b"{}" * 100)[:-8] + bytes(8), (422,)),
    "just the magic": (lambda: b"\x1f\x8b", (422,)),
    "in the payload of a JWS": (lambda: in_payload(zeros(1024 * 1024 * 1024)), (422,)),
    "nested in the payload": (
        lambda: in_payload(gzip.compress(in_payload(zeros(256 * 1024 * 1024)))),
        (422,),
    ),
    "deep JSON": (lambda: gzip.compress(b"[" * 30_000_000), (422,)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_at_once_are_refused_in_bounded_memory(stage: Stage, name: str) -> None:
    make, expected = BOMBS[name]
    bomb = make()
    packed = bomb.startswith(b"\x1f\x8b")
    headers = KEY | JSON | ({"content-encoding": "gzip"} if packed else {})

    def send(path: str) -> int:
        reply = httpx.post(f"{stage.url}{path}", content=bomb, headers=headers, timeout=120)
        return reply.status_code

    stage.forget_peak()
    before = stage.resident()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = list(pool.map(send, ["/vcon"] * AT_ONCE))
        seen += pool.map(send, ["/vcon/ingress?ingress_list=inbox"] * 2)
    assert set(seen) <= {*expected, 422}, seen
    assert stage.peak() - before < ALLOWED


def test_a_bulk_load_of_bombs_is_refused_line_by_line_in_flat_memory(stage: Stage) -> None:
    packer = zlib.compressobj(9, wbits=31)
    line = b"a" * 1_000_000
    parts = [packer.compress(line) for _ in range(100)] + [packer.compress(b"\n")]
    good = vcon()
    body = b"".join([*parts, packer.compress(json.dumps(good).encode()), packer.flush()])
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    stage.forget_peak()
    before = stage.resident()
    reply = stage.client.post("/vcons", content=body, headers=headers)
    assert reply.status_code == 200, reply.text[:300]
    assert (reply.json()["accepted"], reply.json()["rejected_count"]) == (1, 1)
    assert stage.stored(str(good["uuid"])) is not None
    assert stage.peak() - before < LIMIT * 4 // 1024
