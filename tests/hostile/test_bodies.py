"""Bodies that are made to hurt: each is refused or kept byte for byte, and nothing in between."""

import json
from collections.abc import Callable
from typing import NamedTuple

import pytest
from stage import LIMIT, Stage, vcon

DEEP = 10_000
STORED, REFUSED, EITHER = (201,), (422,), (201, 422)


class Case(NamedTuple):
    """A body around a vCon with the uuid `uuid`, and what may come of it."""

    body: Callable[[str], bytes]
    expected: tuple[int, ...]


def member(text: str) -> Callable[[str], bytes]:
    """A vCon whose member `x` is written like this."""
    return lambda uuid: (
        b'{"uuid":"%b","created_at":"2024-05-06T07:08:09Z","x":%b}'
        % (
            uuid.encode(),
            text.encode("utf-8", "surrogatepass"),
        )
    )


def raw_member(text: bytes) -> Callable[[str], bytes]:
    """The same with bytes that are no text."""
    return lambda uuid: (
        b'{"uuid":"%b","created_at":"2024-05-06T07:08:09Z","x":%b}' % (uuid.encode(), text)
    )


def plain(**members: object) -> Callable[[str], bytes]:
    return lambda uuid: json.dumps(vcon(**members) | {"uuid": uuid}).encode()


def encoded(encoding: str) -> Callable[[str], bytes]:
    return lambda uuid: plain()(uuid).decode().encode(encoding)


def literal(text: str) -> Callable[[str], bytes]:
    return lambda uuid: text.replace("UUID", uuid).encode("utf-8", "surrogatepass")


TWICE = '{"uuid":"UUID","uuid":"UUID","created_at":"2024-05-06T07:08:09Z"}'
ESCAPED = '{"uuid":"UUID","\\u0075uid":"UUID","created_at":"2024-05-06T07:08:09Z"}'
OTHERS = '{"uuid":"UUID","created_at":"2024-05-06T07:08:09Z","a":1,"a":2,"parties":5,"parties":[]}'

CASES = {
    "deep arrays": Case(member("[" * DEEP + "]" * DEEP), REFUSED),
    "deep objects": Case(member('{"a":' * DEEP + "1" + "}" * DEEP), REFUSED),
    "deep and unclosed": Case(member("[" * 1_000_000), REFUSED),
    "deep in an analysis": Case(
        lambda uuid: (
            plain(analysis=[{"type": "a", "vendor": "b", "body": "DEEP"}])(uuid).replace(
                b'"DEEP"', b"[" * DEEP + b"]" * DEEP
            )
        ),
        REFUSED,
    ),
    "1e400": Case(member("1e400"), EITHER),
    "-1e400 as a duration": Case(
        lambda uuid: plain(dialog=[{"type": "text", "duration": 7}])(uuid).replace(
            b'"duration": 7', b'"duration": -1e400'
        ),
        REFUSED,
    ),
    "minus zero": Case(member("-0"), STORED),
    "minus zero point zero": Case(member("-0.0"), STORED),
    "NaN": Case(member("NaN"), REFUSED),
    "Infinity": Case(member("-Infinity"), REFUSED),
    "huge integer": Case(member("9" * 100_000), EITHER),
    "huge exponent": Case(member("1e" + "9" * 10_000), EITHER),
    "huge integer as a tel": Case(
        lambda uuid: plain(parties=[{"tel": 1}])(uuid).replace(
            b'"tel": 1', b'"tel": ' + b"9" * 5000
        ),
        EITHER,
    ),
    "leading zero": Case(member("01"), REFUSED),
    "lone surrogate, escaped": Case(member('"\\ud800"'), EITHER),
    "lone surrogate in a name": Case(plain(parties=[{"name": "\ud800"}]), EITHER),
    "surrogates in the wrong order": Case(member('"\\udc00\\ud800"'), EITHER),
    "surrogate in UTF-8": Case(raw_member(b'"\xed\xa0\x80"'), REFUSED),
    "surrogate pair as CESU-8": Case(raw_member(b'"\xed\xa0\xbd\xed\xb8\x80"'), REFUSED),
    "overlong slash": Case(raw_member(b'"\xc0\xaf"'), REFUSED),
    "overlong NUL": Case(raw_member(b'"\xc0\x80"'), REFUSED),
    "beyond Unicode": Case(raw_member(b'"\xf4\x90\x80\x80"'), REFUSED),
    "cut in a character": Case(raw_member(b'"\xe2\x82"'), REFUSED),
    "Latin-1": Case(raw_member(b'"\xe4"'), REFUSED),
    "uuid twice": Case(literal(TWICE), REFUSED),
    "uuid twice, once escaped": Case(literal(ESCAPED), REFUSED),
    "other members twice": Case(literal(OTHERS), STORED),
    "BOM": Case(encoded("utf-8-sig"), REFUSED),
    "UTF-16": Case(encoded("utf-16"), REFUSED),
    "UTF-16 without BOM": Case(encoded("utf-16-le"), REFUSED),
    "UTF-32": Case(encoded("utf-32"), REFUSED),
    "UTF-7": Case(encoded("utf-7"), EITHER),
    "NUL in a text": Case(member('"a\\u0000b"'), STORED),
    "raw NUL in a text": Case(raw_member(b'"a\0b"'), REFUSED),
    "raw newline in a text": Case(raw_member(b'"a\nb"'), REFUSED),
    "NUL after the end": Case(lambda uuid: plain()(uuid) + b"\0", REFUSED),
    "two documents": Case(lambda uuid: plain()(uuid) * 2, REFUSED),
    "comment": Case(lambda uuid: plain()(uuid) + b"// x", REFUSED),
    "trailing comma": Case(lambda uuid: plain()(uuid)[:-1] + b",}", REFUSED),
    "single quotes": Case(lambda uuid: plain()(uuid).replace(b'"', b"'"), REFUSED),
    "nothing": Case(lambda _: b"", REFUSED),
    "blanks": Case(lambda _: b" " * 1_000_000, REFUSED),
    "null": Case(lambda _: b"null", REFUSED),
    "array of vCons": Case(lambda uuid: b"[" + plain()(uuid) + b"]", REFUSED),
    "vCon in a string": Case(lambda uuid: json.dumps(plain()(uuid).decode()).encode(), REFUSED),
    "100,000 parties": Case(plain(parties=[{}] * 100_000), STORED),
    "100,000 members": Case(
        lambda uuid: json.dumps(vcon() | {f"m{n}": n for n in range(100_000)} | {"uuid": uuid})
        .encode(),
        STORED,
    ),
    "100,000 wrong dialogs": Case(plain(dialog=[{"type": "?"}] * 100_000), REFUSED),
    "100,000 indices": Case(
        plain(dialog=[{"type": "text", "parties": [0] * 100_000}]), STORED
    ),
    "indices out of range": Case(plain(dialog=[{"type": "text", "parties": [2**63]}]), REFUSED),
    "prototype members": Case(plain(__proto__={"a": 1}, constructor={"prototype": 1}), STORED),
    "huge date": Case(plain(created_at="99999-01-01T00:00:00Z"), REFUSED),
    "long date": Case(plain(created_at="2024-05-06T07:08:09." + "9" * 100_000 + "Z"), EITHER),
    "date that backtracks": Case(plain(created_at=" " * 100_000 + "x"), REFUSED),
    "uuid of a megabyte": Case(lambda _: plain()("a" * 1_000_000), REFUSED),
    "uuid with a newline": Case(lambda uuid: plain()(uuid + "\n"), REFUSED),
    "uuid with a path": Case(lambda _: plain()("../../etc/passwd"), REFUSED),
    "uuid with a glob": Case(lambda _: plain()("*"), REFUSED),
    "critical": Case(plain(critical=["x" * 1_000_000]), REFUSED),
    "signed by nobody": Case(plain(payload="e30", signatures=[]), EITHER),
    "signed, no uuid": Case(lambda _: b'{"payload":"e30","signatures":[{}]}', REFUSED),
    "encrypted, no uuid": Case(lambda _: b'{"ciphertext":"x","recipients":[{}]}', REFUSED),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_body_is_refused_or_kept_as_it_is(stage: Stage, name: str) -> None:
    uuid = str(vcon()["uuid"])
    body = CASES[name].body(uuid)
    reply = stage.post(body)
    assert reply.status_code in CASES[name].expected, reply.text[:500]
    if reply.status_code == 201:
        assert stage.stored(uuid) == reply.content == body
    else:
        assert stage.stored(uuid) is None
        assert len(reply.content) < 100_000
        assert all({"loc", "msg", "type"} == set(it) for it in reply.json()["detail"])


def test_a_single_string_of_the_whole_limit_is_taken(stage: Stage) -> None:
    uuid = str(vcon()["uuid"])
    frame = raw_member(b'""')(uuid)
    body = raw_member(b'"' + b"x" * (LIMIT - len(frame)) + b'"')(uuid)
    assert len(body) == LIMIT
    assert stage.post(body).status_code == 201
    assert stage.stored(uuid) == body


def test_one_byte_more_is_413_and_leaves_nothing(stage: Stage) -> None:
    uuid = str(vcon()["uuid"])
    body = raw_member(b'"' + b"x" * LIMIT + b'"')(uuid)
    reply = stage.post(body)
    assert reply.status_code == 413
    assert stage.stored(uuid) is None


HOSTILE_TEXTS = {
    "newline": "a\nb\r\nSET x y\r\n",
    "NUL": "a\0b",
    "right to left": "\u202eevil\u202c",
    "glob": "*[a-z]?\\",
    "braces": "{a}{b}",
    "colon": "a:b:c",
    "blank": " ",
    "zero width": "\u200b\ufeff",
    "astral": "\U0001f4de" * 100,
    "long": "n" * 1_000_000,
    "combining": "a" + "\u0301" * 10_000,
    "format": "%s%n{0}${x}",
}


@pytest.mark.parametrize("member", ["tel", "mailto", "name"])
@pytest.mark.parametrize("text", HOSTILE_TEXTS.values(), ids=list(HOSTILE_TEXTS))
def test_search_terms_are_no_part_of_a_command(stage: Stage, member: str, text: str) -> None:
    document = vcon(parties=[{member: text}])
    body = json.dumps(document).encode()
    reply = stage.post(body)
    assert reply.status_code in EITHER, reply.text[:300]
    uuid = str(document["uuid"])
    if reply.status_code == 422:
        assert stage.stored(uuid) is None
        return
    assert stage.stored(uuid) == body
    found = stage.client.get("/vcons/search", params={member: text[:10_000]})
    assert found.status_code == 200, found.text[:300]
    if len(text) <= 10_000:
        assert uuid in found.json()
    assert stage.client.delete(f"/vcon/{uuid}").status_code == 204
    assert stage.client.get("/vcons/search", params={member: text[:10_000]}).json() == []
