"""Requests that no client library would send: paths, headers, lengths and garbage."""

import json
from collections.abc import Sequence

import pytest
from raw import exchange, request, statuses
from stage import Stage, vcon

PATHS = [
    b"/vcon/..%2f..%2fetc%2fpasswd",
    b"/vcon/../config",
    b"/vcon/%2e%2e/config",
    b"/vcon/%00",
    b"/vcon/%c0%ae%c0%ae",
    b"/vcon/%ff",
    b"/vcon/%",
    b"/vcon/%zz",
    b"/vcon/" + b"a" * 60_000,
    b"/vcon/*",
    b"/vcon/01234567-89ab-cdef-0123-456789abcdef%0d%0aX-Evil:%201",
    b"/docs/..%2f..%2f..%2fpyproject.toml",
    b"/docs/%2e%2e/start.js",
    b"/docs/..",
    b"/docs/swagger-ui.css%00.js",
    b"/docs//etc/passwd",
    b"/api/api/health",
    b"//health",
    b"/health/./",
    b"/dead-letters/..%2f:1-1",
    b"/dead-letters/" + b"%3a" * 1000,
    b"/chain/..%2fmain/egress",
    b"/chain/%0d%0aX-Evil:%201/egress",
    b"/chain/%2a/egress",
    b"/egress/..%2f..%2f/lease",
    b"/vcon/egress?egress_list=%0d%0aX-Evil:%201",
    b"/vcon/egress?egress_list=..%2f..%2f&limit=99999999999999999999",
    b"/vcon/egress?egress_list=*",
    b"/vcon/egress?egress_list=%00",
    b"/vcon/egress?egress_list=" + b"n" * 60_000,
    b"/vcon/count?egress_list=%ff%fe",
    b"/vcon?page=1e9&size=0x10",
    b"/vcon?page=%D9%A1",
    b"/vcon?since=" + b"9" * 5_000,
    b"/vcon?since=-1e400",
    b"/vcons?vcon_uuids=" + b"," * 60_000,
    b"/vcons/search?name=%00&name=" + b"%F0%9F%92%A9" * 4_000,
    b"/vcon?" + b"&" * 60_000,
    b"/vcon?" + b"a=1&" * 15_000,
    b"/vcon?" + b"a[b][c]=1&" * 5_000,
    b"/dlq?ingress_list=%0a",
    b"/stats/queue?list_name=__proto__",
    b"/dead-letters?cursor=" + b"A" * 50_000,
    b"/dead-letters?limit=%2B1%20",
    b"/config/versions/99999999999999999999",
    b"/config/versions/-1",
    b"/config/versions/%D9%A1",
    b"http://evil.example/health",
    b"*",
    b"?",
    b"/\xff\xfe",
    b"/health#fragment",
    b"/health\x00",
    b"/health \r\n",
]


@pytest.mark.parametrize("target", PATHS, ids=lambda target: target[:40].decode("latin-1"))
def test_a_hostile_target_is_found_or_refused(stage: Stage, target: bytes) -> None:
    for method in (b"GET", b"POST", b"DELETE", b"PUT"):
        received = exchange(stage.address, request(method, target))
        assert all(200 <= status < 500 for status in statuses(received)), received[:300]
        assert b"x-evil" not in head_of(received).lower()
        assert b"root:" not in received


INJECTIONS = [
    b"X-Request-Id: a\r\n X-Evil: 1",
    b"X-Request-Id: a\nX-Evil: 1",
    b"X-Request-Id: a\rX-Evil: 1",
    b"X-Request-Id: " + b"a" * 50_000,
    b"X-Request-Id: \x00",
    b"X-Request-Id: \xff\xfe\x85",
    b'If-Match: "a\r\nX-Evil: 1"',
    b"If-Match: " + b'"a",' * 10_000,
    b'If-None-Match: W/"' + b'"' * 10_000,
    b"Idempotency-Key: a\r\n\tX-Evil: 1",
    b"Idempotency-Key: \x00\x01\x02",
    b"Idempotency-Key: " + b"k" * 50_000,
    b"traceparent: 00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00\r\n X-Evil: 1",
    b"Origin: http://evil.example\r\n X-Evil: 1",
    b"Host: evil.example",
    b"ingress-list: \xff\xfe, ..\\..\\, *",
    b"Content-Type: application/json; charset=\xff\r\n X-Evil: 1",
    b"Content-Encoding: gzip, gzip, gzip",
    b"Content-Encoding: \x00",
    b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Original-URL: /config",
    b"Transfer-Encoding: identity",
    b"Upgrade: h2c\r\nHTTP2-Settings: AAAA",
    b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
    b"Expect: 100-continue",
    b"Expect: 200-ok",
    b"Range: bytes=0-,0-,0-,0-",
    b": no name",
    b"no colon",
    b"blank : name",
    b"\r\n",
]


@pytest.mark.parametrize("header", INJECTIONS, ids=lambda it: it[:30].decode("latin-1"))
def test_a_hostile_header_never_reaches_the_answer(stage: Stage, header: bytes) -> None:
    body = json.dumps(vcon()).encode()
    for sent in (
        request(headers=[header]),
        request(b"POST", b"/vcon", [header, b"content-type: application/json"], body),
        request(b"GET", b"/vcon/01234567-89ab-cdef-0123-456789abcdef", [header]),
    ):
        received = exchange(stage.address, sent)
        assert all(status < 500 for status in statuses(received)), received[:300]
        head = head_of(received).lower()
        assert b"\r\nx-evil" not in head
        assert b"\nx-evil" not in head
        assert head.count(b"x-request-id:") <= max(1, len(statuses(received)))


def post(lines: Sequence[bytes], body: bytes) -> bytes:
    return request(b"POST", b"/vcon", lines, body, length=False)


def lengths(body: bytes) -> dict[str, bytes]:
    """POSTs whose framing contradicts itself, by what is wrong."""
    size = b"%d" % len(body)
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    te = b"transfer-encoding: chunked"
    return {
        "two lengths": post([b"content-length: 2", b"content-length: " + size], body),
        "two equal lengths": post([b"content-length: " + size] * 2, body),
        "lengths in a list": post([b"content-length: 2, " + size], body),
        "length and chunks": post([b"content-length: " + size, te], chunk),
        "chunks and length": post([te, b"content-length: 3"], chunk),
        "negative": post([b"content-length: -1"], body),
        "signed": post([b"content-length: +" + size], body),
        "hexadecimal": post([b"content-length: 0x10"], body),
        "blank": post([b"content-length: "], body),
        "huge": post([b"content-length: " + b"9" * 30], body),
        "more than 64 bits": post([b"content-length: 18446744073709551616"], body),
        "chunk overflow": post([te], b"FFFFFFFFFFFFFFFFF\r\n" + body),
        "negative chunk": post([te], b"-1\r\n" + body),
        "chunk without end": post([te], b"%x\r\n%b" % (len(body) + 10, body)),
        "chunk extension": post([te], b"1;" + b"a" * 100_000 + b"\r\n{\r\n0\r\n\r\n"),
        "chunk of garbage": post([te], b"zz\r\n" + body),
        "chunks, spelled oddly": post([b"transfer-encoding: xchunked"], chunk),
        "chunks twice": post([te, te], chunk),
        "chunked with a tab": post([b"transfer-encoding:\tchunked\x0b"], chunk),
        "cut body": post([b"content-length: %d" % (len(body) + 100)], body),
        "trailers": post([te], chunk[:-2] + b"X-Evil: 1\r\nContent-Length: 9\r\n\r\n"),
    }


@pytest.mark.parametrize("name", lengths(b"{}"))
def test_contradicting_lengths_never_store_half_a_body(stage: Stage, name: str) -> None:
    document = vcon()
    body = json.dumps(document).encode()
    received = exchange(stage.address, lengths(body)[name])
    seen = statuses(received)
    assert all(status < 500 for status in seen), received[:300]
    # What follows a contradiction on the same connection is never taken as a request of its own.
    assert len(seen) <= 1
    kept = stage.stored(str(document["uuid"]))
    assert kept == (body if 201 in seen else None)


GARBAGE = {
    "HTTP/0.9": b"GET /health\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64),
    "HTTP/3.7": request(version=b"HTTP/3.7"),
    "HTTP/1.1.1": request(version=b"HTTP/1.1.1"),
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    "nothing": b"",
    "line ends": b"\r\n" * 10_000,
    "zeros": bytes(100_000),
    "a line without end": b"G" * 1_000_000,
    "headers without end": b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000,
    "a header without end": b"GET / HTTP/1.1\r\na: " + b"b" * 1_000_000,
    "garbage after a request": request()[:-2] + b"\r\n" + b"\x00\xff" * 1000,
    "smuggled": request(headers=[b"content-length: 0"]) + b"GET /config HTTP/1.1\r\n\r\n",
    "bare line feeds": b"GET /health HTTP/1.1\nhost: x\n\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "Redis": b"*1\r\n$8\r\nFLUSHALL\r\n",
    "SMTP": b"EHLO x\r\nMAIL FROM:<a@b>\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_answered_at_most_by_a_refusal(stage: Stage, name: str) -> None:
    received = exchange(stage.address, GARBAGE[name])
    assert all(status < 500 for status in statuses(received)), received[:300]


METHODS = [
    b"OPTIONS", b"TRACE", b"CONNECT", b"PATCH", b"HEAD", b"PROPFIND", b"PURGE", b"get", b"G\x00T",
    b"A" * 10_000, b"", b"GET,POST",
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS, ids=lambda it: it[:10].decode("latin-1"))
@pytest.mark.parametrize("target", [b"/vcon", b"/config", b"/vcon/x", b"/docs/start.js"])
def test_unusual_methods_change_nothing(stage: Stage, method: bytes, target: bytes) -> None:
    received = exchange(stage.address, request(method, target))
    assert all(status < 500 for status in statuses(received)), received[:300]


ONE = b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n"
TWO = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"


def test_pipelined_requests_are_answered_in_order(stage: Stage) -> None:
    sent = (ONE + TWO) * 20 + request()
    assert statuses(exchange(stage.address, sent, finish=False)) == [*[200, 404] * 20, 200]


def test_garbage_among_pipelined_requests_ends_them(stage: Stage) -> None:
    sent = (ONE + TWO) * 20 + b"\x00garbage\r\n\r\n" + TWO + ONE
    seen = statuses(exchange(stage.address, sent, finish=False))
    # It is noticed as soon as it is read, be those before it answered or not.
    answered = seen[:-1] if seen and seen[-1] == 400 else seen
    assert answered == ([200, 404] * 20)[: len(answered)]


def test_a_hundred_thousand_parameters_are_too_many(stage: Stage) -> None:
    received = exchange(stage.address, request(target=b"/vcon?" + b"a&" * 30_000))
    assert statuses(received)[0] in (403, 414, 422)
    received = exchange(stage.address, request(target=b"/vcon?" + b"a=1&" * 100_000))
    assert all(400 <= status < 500 for status in statuses(received))


def head_of(received: bytes) -> bytes:
    return received.partition(b"\r\n\r\n")[0]
