"""Hostile data: real conversations with something wrong in them, and requests out of nowhere."""

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

__all__ = ["MARK", "PLACEHOLDER", "Request", "hostile_json", "lines", "mutated", "requests"]

PLACEHOLDER = "00000000-0000-8000-8000-00000000feed"
"""Stands where each case gets a uuid of its own."""
MARK = "sEcReT"
"""Is in every text and every foreign name: no refusal may hold it."""

_NUMBERS = ("1e400", "-1e400", "-0", "-0.0", "1e-400", "9" * 400, "-" + "9" * 400, "0.1e1", "NaN")
_NUMBERS += ("Infinity", str(2**63), str(2**64), str(-(2**63) - 1), "1E+2", "01", "1.", "0x1")
_WORDS = ("", " ", MARK, "\0", "\ud800", "\udc00\ud800", "\u202e" + MARK, "../../etc/passwd")
_WORDS += ("\r\nX-Evil: 1", "*", "{}", "tel:", "mailto:", PLACEHOLDER, PLACEHOLDER.upper())
_WORDS += ("2024-13-45T99:99:99Z", "data:;base64,AAAA", "a" * 5000, "\uffff\ufeff", "=" * 50)
_NAMES = ("uuid", "vcon", "created_at", "parties", "dialog", "analysis", "attachments", "payload")
_NAMES += ("signatures", "ciphertext", "recipients", "redacted", "amended", "critical", "type")
_NAMES += ("body", "encoding", "tel", "name", "party_history", "start", "duration", "originator")
_NAMES += ("transfer-target", "recordings", "session_id", "__proto__", MARK, "", "\0", "\ud800")


class _Number(float):
    """A number that is written as no float would be."""

    def __new__(cls, text: str) -> "_Number":
        made = super().__new__(cls, 0.0)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text

    text: str


def hostile_json() -> SearchStrategy[Any]:
    """Any JSON, mostly of what hurts."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.sampled_from(_NUMBERS).map(_Number),
        st.sampled_from(_WORDS),
        st.text(max_size=20),
    )
    names = st.sampled_from(_NAMES) | st.text(max_size=5)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )


@st.composite
def mutated(draw: DrawFn, conversations: list[bytes]) -> bytes:
    """A real conversation after some harm to its members and, sometimes, to its bytes."""
    document = json.loads(draw(st.sampled_from(conversations)))
    document["uuid"] = PLACEHOLDER
    document["subject"] = MARK
    for _ in range(draw(st.integers(0, 3))):
        _harm(draw, document)
    body = written(document, ascii_only=draw(st.booleans()))
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        body = _bytes_harmed(draw, body)
    return body


def written(value: Any, *, ascii_only: bool) -> bytes:
    """The value as JSON, with its odd numbers as they are."""
    # The pure Python encoder writes a float by its own `__repr__`.
    text = "".join(_Encoder(ensure_ascii=ascii_only).iterencode(value))
    return text.encode("utf-8", "surrogatepass")


class _Encoder(json.JSONEncoder):
    def iterencode(self, value: Any, _one_shot: bool = False) -> Any:
        if isinstance(value, _Number):
            yield value.text
        elif isinstance(value, dict):
            yield "{"
            for number, (name, item) in enumerate(value.items()):
                yield f"{',' if number else ''}{self.encode(name)}:"
                yield from self.iterencode(item)
            yield "}"
        elif isinstance(value, list):
            yield "["
            for number, item in enumerate(value):
                yield "," if number else ""
                yield from self.iterencode(item)
            yield "]"
        else:
            yield self.encode(value)

    def encode(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=self.ensure_ascii)


def _harm(draw: DrawFn, document: Any) -> None:
    """Change, drop or add one member somewhere in the document."""
    holder = document
    while True:
        places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not places:
            break
        place = draw(st.sampled_from(places))
        inner = holder[place]
        if isinstance(inner, dict | list) and inner and draw(st.booleans()):
            holder = inner
            continue
        if draw(st.integers(0, 3)) == 0:
            del holder[place]
        else:
            holder[place] = draw(hostile_json())
        break
    if isinstance(holder, dict) and draw(st.booleans()):
        holder[draw(st.sampled_from(_NAMES))] = draw(hostile_json())


def _bytes_harmed(draw: DrawFn, body: bytes) -> bytes:
    at = draw(st.integers(0, max(len(body) - 1, 0)))
    match draw(st.integers(0, 3)):
        case 0:
            return body[:at] + draw(st.binary(min_size=1, max_size=4)) + body[at:]
        case 1:
            return body[:at] + body[at + draw(st.integers(1, 20)) :]
        case 2:
            return body[:at]
        case _:
            return body[:at] + body[max(at - 50, 0) :]


def lines(conversations: list[bytes]) -> SearchStrategy[bytes]:
    """A bulk body of good and bad lines."""
    line = st.one_of(
        mutated(conversations).map(lambda body: body.replace(b"\n", b" ")),
        hostile_json().map(lambda value: written(value, ascii_only=True)),
        st.sampled_from((b"", b" ", b"\r", b"{", b"\xff", b"[" * 5000)),
    )
    return st.lists(line, max_size=20).map(b"\n".join)


class Request(NamedTuple):
    """A request as bytes."""

    method: bytes
    target: bytes
    headers: tuple[bytes, ...]
    body: bytes


_PIECES = ("vcon", "vcons", "..", "%2e%2e", "%00", "*", PLACEHOLDER, "ingress", "egress", "search")
_PIECES += (
    "count",
    "dlq",
    "config",
    "chains",
    "chain",
    "main",
    "dead-letters",
    "inbox:1-1",
    "docs",
)
_PIECES += (
    "health",
    "version",
    "ready",
    "index_vcons",
    "stats",
    "queue",
    "history",
    "inbox",
    "api",
)
_PIECES += ("versions", "1", "-1", "%ff", "%F0%9F", "start.js", "openapi.json", "lease", "", "%2f")
_QUERY = ("page", "size", "since", "until", "vcon_uuids", "tel", "mailto", "name", "ingress_list")
_QUERY += ("ingress_lists", "egress_list", "limit", "count", "cursor", "list", "chain", "stage")
_QUERY += ("error", "all", "seconds", "list_name", "from", "ids", "comment", "")
_VALUES = (
    "",
    "0",
    "1",
    "-1",
    "1e3",
    "9" * 30,
    "%00",
    "%0d%0aX-Evil:1",
    "inbox",
    "done",
    "*",
    "%ff",
)
_VALUES += (PLACEHOLDER, "a" * 3000, "true", "2024-01-01", "9999-12-31T23:59:59Z", "%2B1", "null")
_HEADERS = ("content-type: application/x-ndjson", "content-type: text/plain", "content-type: ;")
_HEADERS += (
    "content-encoding: gzip",
    "content-encoding: br",
    "if-match: *",
    'if-match: "',
    "te: x",
)
_HEADERS += ('if-none-match: W/"a", "b"', "idempotency-key: a", "x-request-id: \x01", "accept: x")
_HEADERS += ("traceparent: ff-0-0-0", "ingress-list: inbox", "ingress_lists: a,,*", "cookie: a=b")
_HEADERS += ("x-conserver-api-token: wrong", "transfer-encoding: chunked", "expect: 100-continue")
_METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"X")


@st.composite
def requests(draw: DrawFn) -> Request:
    """A request put together of true and false pieces."""
    path = "/".join(draw(st.lists(st.sampled_from(_PIECES), max_size=4)))
    fields = st.tuples(st.sampled_from(_QUERY), st.sampled_from(_VALUES)).map("=".join)
    query = "&".join(draw(st.lists(fields, max_size=4)))
    target = f"/{path}?{query}".encode()
    if draw(st.integers(0, 9)) == 0:
        target += draw(st.binary(max_size=5)).translate(None, b" \r\n")
    headers = draw(st.lists(st.sampled_from(_HEADERS), max_size=3))
    if draw(st.booleans()):
        body = written(draw(hostile_json()), ascii_only=True)
    else:
        body = draw(st.binary(max_size=50))
    encoded = tuple(header.encode("latin-1") for header in headers)
    return Request(draw(st.sampled_from(_METHODS)), target, encoded, body)
