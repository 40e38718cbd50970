import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_samples import IETF_VALID, UUID, conversations, doc, ietf, new, texts, values, vcon

from vconflow.errors import InvalidVcon
from vconflow.model import envelope
from vconflow.model.identifiers import uuid_time
from vconflow.model.validation import LONGEST_TERM, MAX_TERMS, Facts, validate


def places(document: bytes) -> list[tuple[str, str]]:
    with pytest.raises(InvalidVcon) as caught:
        validate(document)
    return [(problem.place, problem.type) for problem in caught.value.problems]


def refusal(document: bytes) -> InvalidVcon | None:
    try:
        validate(document)
    except InvalidVcon as error:
        return error
    return None


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_every_conversation_is_accepted() -> None:
    for line in conversations():
        facts = validate(line)
        document = json.loads(line)
        assert facts.uuid == document["uuid"]
        assert facts.version == "0.0.1"
        assert facts.form == "unsigned"
        assert set(facts.tels) == {p["tel"] for p in document["parties"]} - {""}


@pytest.mark.parametrize("name", IETF_VALID)
def test_ietf_example_is_accepted(name: str) -> None:
    facts = validate(ietf(name))
    expected = "encrypted" if "encrypted" in name else "unsigned"
    if name in ("ab_call_ext_rec_signed.vcon", "ab_call_ext_rec_decrypted.vcon"):
        expected = "signed"
    assert facts.form == expected
    assert len(facts.uuid) == 36


@pytest.mark.parametrize("name", ["ab.vcon", "simple-vcon.vcon"])
def test_invalid_ietf_example_is_refused(name: str) -> None:
    assert places(ietf(name)) == [("uuid", "missing"), ("created_at", "missing")]


def test_facts() -> None:
    parties = [
        {"tel": "tel:+15550001", "name": "Ann"},
        {"tel": "+15550001", "mailto": "MAILTO:a@b.c", "name": ""},
        {"tel": "", "mailto": "", "name": "Ann"},
        {"tel": 911},
        {},
    ]
    document = doc(uuid=UUID.upper(), parties=parties)
    assert validate(document) == Facts(
        uuid=UUID,
        created_at=1710149400.0,
        version="0.0.1",
        form="unsigned",
        tels=("+15550001", "911"),
        mailtos=("a@b.c",),
        names=("Ann",),
    )


@pytest.mark.parametrize(
    ("member", "terms"), [("tel", "tels"), ("mailto", "mailtos"), ("name", "names")]
)
def test_search_terms_are_limited(member: str, terms: str) -> None:
    """Each is a Redis key; the document itself is taken with all of them."""
    values = ["x" * LONGEST_TERM, "x" * (LONGEST_TERM + 1), *map(str, range(2 * MAX_TERMS))]
    facts = validate(doc(parties=[{member: value} for value in values]))
    found = getattr(facts, terms)
    assert found == (values[0], *values[2 : MAX_TERMS + 1])
    assert len(found) == MAX_TERMS


WILD = {
    "no version": doc(vcon=...),
    "future version": doc(vcon="0.5.0"),
    "only the mandatory": doc(parties=..., dialog=..., vcon=...),
    "null arrays": doc(parties=None, dialog=None, analysis=None, attachments=None),
    "empty legacy members": doc(group=[], redacted={}, appended=None),
    "null and empty redacted": doc(redacted=None, appended={}),
    "both empty": doc(redacted={}, amended={}),
    "parties is 0": doc(dialog=[{"type": "text", "parties": 0}]),
    "channels": new(dialog=[{"type": "recording", "parties": [0, [0, 1], None]}]),
    "integer tel": doc(parties=[{"tel": 911}], dialog=[]),
    "huge integers": doc(big=10**40, dialog=[{"type": "text", "duration": 10**40}]),
    "huge unknown float": doc().replace(b'"vcon"', b'"big": 1e400, "vcon"'),
    "empty url": doc(dialog=[{"type": "recording", "url": "", "parties": [0]}]),
    "empty url in 0.4.0": new(dialog=[{"type": "incomplete", "url": "", "disposition": "busy"}]),
    "body is null": doc(dialog=[{"type": "text", "body": None}]),
    "no body": new(dialog=[{"type": "text"}]),
    "media type with parameters": new(
        dialog=[{"type": "text", "body": "x", "mediatype": "text/plain; charset=utf-8"}]
    ),
    "old name of mediatype": new(dialog=[{"type": "text", "body": "x", "mimetype": "text/plain"}]),
    "bare attachment": doc(attachments=[{"type": "note", "body": {"a": 1}}]),
    "tags in 0.4.0": new(attachments=[{"purpose": "tags", "body": ["a:b"], "encoding": "json"}]),
    "type beside purpose": new(attachments=[{"type": "a", "purpose": "b", "body": "x"}]),
    "legacy transfer": doc(
        dialog=[
            {"type": "transfer", "parties": [0], "transferee": 0, "transfer-target": -1},
            {"type": "text", "recordings": [0]},
        ]
    ),
    "unknown dialog": new(
        dialog=[{"type": "transfer", "original": [1, -1], "target_dialog": -1}, {}]
    ),
    "legacy incomplete without disposition": doc(dialog=[{"type": "incomplete"}]),
    "legacy analysis without vendor": doc(analysis=[{"type": "summary", "dialog": 0}]),
    "analysis of nothing": doc(analysis=[{"type": "summary", "vendor": "v", "dialog": []}]),
    "session as text": doc(dialog=[{"type": "text", "session_id": "x"}]),
    "session as object": doc(dialog=[{"type": "text", "session_id": {"local": "x"}}]),
    "naive date": doc(created_at="2024-03-11T09:30:00"),
    "mail date": doc(created_at="Mon, 11 Mar 2024 09:30:00 +0000"),
    "repeated hash": new(
        dialog=[{"type": "text", "url": "https://a", "content_hash": ["sha512-a", "sha256-b"]}]
    ),
    "redacted": new(redacted={"uuid": UUID, "type": "PII"}),
    "redacted of nothing known": doc(redacted={"uuid": "", "type": ""}),
    "amended by url": new(amended={"url": "https://a", "content_hash": "sha512-a"}),
    "legacy hash of appended": doc(appended={"url": "https://a", "alg": "x", "signature": "y"}),
    "no extension is critical": new(critical=[], extensions=["x"]),
    "party history": new(
        dialog=[{"type": "text", "party_history": [{"party": 1, "time": "2024", "event": "join"}]}]
    ),
    "party with uuid": doc(parties=[{"uuid": UUID}, {"uuid": UUID}]),
    "repeated subject": doc().replace(b'"vcon"', b'"subject": "a", "subject": "b", "vcon"'),
    "escapes": doc(subject="\u00e9\u0001 \U0001f600"),
}


@pytest.mark.parametrize("document", WILD.values(), ids=WILD)
def test_what_occurs_in_the_wild_is_accepted(document: bytes) -> None:
    assert validate(document).uuid == UUID


def dialog(**members: object) -> list[dict[str, object]]:
    return [{"type": "text"} | members]


BAD: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "uuid missing": (doc(uuid=...), [("uuid", "missing")]),
    "uuid null": (doc(uuid=None), [("uuid", "missing")]),
    "uuid garbage": (doc(uuid="nope"), [("uuid", "bad_uuid")]),
    "uuid with a wrong hyphen": (doc(uuid=UUID.replace("-", "", 1)), [("uuid", "bad_uuid")]),
    "uuid number": (doc(uuid=7), [("uuid", "wrong_type")]),
    "uuid twice": (doc().replace(b"{", b'{"uuid": "x", ', 1), [("uuid", "duplicate")]),
    "uuid twice, disguised": (
        doc().replace(b"{", b'{"\\u0075uid": "x", ', 1),
        [("uuid", "duplicate")],
    ),
    "created_at missing": (doc(created_at=...), [("created_at", "missing")]),
    "created_at missing, uuid without time": (
        doc(created_at=..., vcon=..., uuid="6ba7b810-9dad-41d1-80b4-00c04fd430c8"),
        [("created_at", "missing")],
    ),
    "created_at garbage": (doc(created_at="soon"), [("created_at", "bad_date")]),
    "created_at number": (doc(created_at=1), [("created_at", "wrong_type")]),
    "version number": (doc(vcon=1), [("vcon", "wrong_type")]),
    "dialog is no array": (
        doc(dialog={}, analysis=[{"type": "a", "dialog": 5}]),
        [("dialog", "wrong_type")],
    ),
    "dialog without type": (doc(dialog=[{"body": "x"}]), [("dialog[0].type", "missing")]),
    "empty dialog that no transfer names": (doc(dialog=[{}]), [("dialog[0].type", "missing")]),
    "dialog of unknown type": (doc(dialog=dialog(type="x")), [("dialog[0].type", "unknown_type")]),
    "dialog type number": (doc(dialog=dialog(type=1)), [("dialog[0].type", "wrong_type")]),
    "negative duration": (
        doc(dialog=dialog(duration=-1)),
        [("dialog[0].duration", "out_of_range")],
    ),
    "endless duration": (
        doc(dialog=dialog(duration=77777)).replace(b"77777", b"1e400"),
        [("dialog[0].duration", "out_of_range")],
    ),
    "parties text": (doc(dialog=dialog(parties="0")), [("dialog[0].parties", "wrong_type")]),
    "parties out of range": (
        doc(dialog=dialog(parties=[0, 2])),
        [("dialog[0].parties[1]", "out_of_range")],
    ),
    "parties out of range, single": (
        doc(dialog=dialog(parties=2)),
        [("dialog[0].parties", "out_of_range")],
    ),
    "channel out of range": (
        doc(dialog=dialog(parties=[0, [1, 9], None])),
        [("dialog[0].parties[1][1]", "out_of_range")],
    ),
    "unknown party": (
        doc(dialog=dialog(parties=[-1])),
        [("dialog[0].parties[0]", "out_of_range")],
    ),
    "boolean index": (
        doc(dialog=dialog(parties=[True])),
        [("dialog[0].parties[0]", "wrong_type")],
    ),
    "originator": (doc(dialog=dialog(originator=2)), [("dialog[0].originator", "out_of_range")]),
    "recordings": (
        new(dialog=[{"type": "recording-set", "recordings": [1]}]),
        [("dialog[0].recordings[0]", "out_of_range")],
    ),
    "recording_set": (
        new(dialog=[{"type": "recording", "recording_set": 1}]),
        [("dialog[0].recording_set", "out_of_range")],
    ),
    "transfer party": (
        doc(dialog=[{"type": "transfer", "transferee": 2, "transferor": -2}]),
        [("dialog[0].transferee", "out_of_range"), ("dialog[0].transferor", "out_of_range")],
    ),
    "transfer dialog": (
        doc(dialog=[{"type": "transfer", "original": [0, 1], "target-dialog": 1}]),
        [("dialog[0].original[1]", "out_of_range"), ("dialog[0].target-dialog", "out_of_range")],
    ),
    "party_history": (
        doc(dialog=dialog(party_history=[{"party": 2}])),
        [("dialog[0].party_history[0].party", "out_of_range")],
    ),
    "analysis of no dialog": (
        doc(analysis=[{"type": "a", "dialog": [0, 1]}]),
        [("analysis[0].dialog[1]", "out_of_range")],
    ),
    "analysis of no attachment": (
        doc(analysis=[{"type": "a", "attachment": 0}]),
        [("analysis[0].attachment", "out_of_range")],
    ),
    "analysis without type": (doc(analysis=[{}]), [("analysis[0].type", "missing")]),
    "analysis without vendor": (
        new(analysis=[{"type": "a"}]),
        [("analysis[0].vendor", "missing")],
    ),
    "attachment of nobody": (
        doc(attachments=[{"party": 2, "dialog": 1}]),
        [("attachments[0].party", "out_of_range"), ("attachments[0].dialog", "out_of_range")],
    ),
    "party is a text": (doc(parties=["x", {}]), [("parties[0]", "wrong_type")]),
    "party name": (
        doc(parties=[{"name": 5, "mailto": []}, {}]),
        [("parties[0].mailto", "wrong_type"), ("parties[0].name", "wrong_type")],
    ),
    "critical": (
        new(critical=["a", "b"]),
        [("critical[0]", "unsupported_extension"), ("critical[1]", "unsupported_extension")],
    ),
    "must_support": (doc(must_support=["a"]), [("must_support[0]", "unsupported_extension")]),
    "redacted and amended": (
        new(redacted={"type": "x"}, amended={"uuid": UUID}),
        [("redacted", "conflict")],
    ),
    "redacted and appended": (
        doc(redacted={"type": "x"}, appended={"uuid": UUID}),
        [("redacted", "conflict")],
    ),
    "redacted without type": (new(redacted={"uuid": UUID}), [("redacted.type", "missing")]),
    "redacted of unknown members": (new(redacted={"a": 1}), [("redacted.type", "missing")]),
    "redacted type": (new(redacted={"type": 1}), [("redacted.type", "wrong_type")]),
    "redacted uuid": (new(redacted={"type": "x", "uuid": "y"}), [("redacted.uuid", "bad_uuid")]),
    "redacted url without hash": (
        new(redacted={"type": "x", "url": "https://a"}),
        [("redacted.content_hash", "missing")],
    ),
    "amended nothing": (new(amended={"content_hash": "x"}), [("amended.uuid", "missing")]),
    "amended list": (new(amended=[]), [("amended", "wrong_type")]),
    "recording set without recordings": (
        new(dialog=[{"type": "recording-set"}]),
        [("dialog[0].recordings", "missing")],
    ),
    "incomplete without disposition": (
        new(dialog=[{"type": "incomplete"}]),
        [("dialog[0].disposition", "missing")],
    ),
    "body without mediatype": (
        new(dialog=dialog(body="x")),
        [("dialog[0].mediatype", "missing")],
    ),
    "party_history without time": (
        new(dialog=dialog(party_history=[{"party": 0, "event": "join"}])),
        [("dialog[0].party_history[0].time", "missing")],
    ),
    "encrypted without uuid": (
        b'{"ciphertext": "x", "recipients": [], "unprotected": {}}',
        [("unprotected.uuid", "missing")],
    ),
    "signed by nobody": (b'{"payload": "x", "signatures": []}', [("signatures", "missing")]),
    "payload is no vcon": (b'{"payload": "eA", "signatures": [{}]}', [("payload", "missing")]),
    "payload without uuid": (b'{"payload": "e30", "signatures": [{}]}', [("uuid", "missing")]),
    "signed garbage": (b'{"payload": 1, "signatures": [{}]}', [("", "wrong_type")]),
    "two uuids in headers": (
        json.dumps(
            {
                "payload": "x",
                "signatures": [{"header": {"uuid": UUID}}, {"header": {"uuid": UUID[:-1] + "0"}}],
            }
        ).encode(),
        [("uuid", "conflict")],
    ),
    "empty": (b"", [("", "empty")]),
    "spaces": (b" \n", [("", "empty")]),
    "array": (b"[]", [("", "wrong_type")]),
    "text": (b'"x"', [("", "wrong_type")]),
    "cut off": (doc()[:-5], [("", "malformed_json")]),
    "more behind it": (doc() + b"{}", [("", "malformed_json")]),
    "NaN": (doc().replace(b'"0.0.1"', b"NaN"), [("", "malformed_json")]),
    "unknown NaN": (doc().replace(b'"vcon"', b'"x": NaN, "vcon"'), [("", "malformed_json")]),
    "infinity": (doc().replace(b'"vcon"', b'"x": -Infinity, "vcon"'), [("", "malformed_json")]),
    "byte order mark": (b"\xef\xbb\xbf" + doc(), [("", "malformed_json")]),
    "half a surrogate": (doc(x="\ud83d"), [("", "malformed_json")]),
    "not UTF-8": (doc().replace(b"Ann", b"\xe4nn"), [("", "not_utf8")]),
    "not UTF-8 where nobody looks": (doc(x="AAA").replace(b"AAA", b"\xff"), [("", "not_utf8")]),
    "UTF-16": (doc().decode().encode("utf-16"), [("", "not_utf8")]),
    "deep": (doc(x=77777).replace(b"77777", b"[" * 9999 + b"]" * 9999), [("", "too_deep")]),
    "very deep": (b'{"a":' * 10**6, [("", "too_deep")]),
    "deep in a raw member": (
        doc(dialog=[{"type": "text", "body": 77777}]).replace(b"77777", b"[" * 9999 + b"]" * 9999),
        [("", "too_deep")],
    ),
}


@pytest.mark.parametrize(("document", "expected"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_refused_with_its_place(
    document: bytes, expected: list[tuple[str, str]]
) -> None:
    assert places(document) == expected


FORBIDDEN = [
    ("transfer", {"parties": [0]}),
    ("transfer", {"originator": 0}),
    ("transfer", {"mediatype": "text/plain"}),
    ("transfer", {"body": "x"}),
    ("transfer", {"url": "https://a"}),
    ("transfer", {"session_id": {}}),
    ("transfer", {"party_history": []}),
    ("recording", {"recordings": [0]}),
    ("recording", {"transferee": 0}),
    ("recording-set", {"body": "x"}),
    ("recording-set", {"filename": "x"}),
    ("recording-set", {"recording_set": 0}),
    ("text", {"recording_set": 0}),
    ("text", {"consultation": 0}),
    ("incomplete", {"content_hash": "sha512-x"}),
    ("incomplete", {"message_id": "x"}),
]
NEEDED: dict[str, dict[str, object]] = {
    "recording-set": {"recordings": [0]},
    "incomplete": {"disposition": "busy"},
}


@pytest.mark.parametrize(("kind", "member"), FORBIDDEN)
def test_forbidden_members_of_a_dialog(kind: str, member: dict[str, object]) -> None:
    members = {"type": kind, **NEEDED.get(kind, {}), **member}
    (name,) = member
    assert places(new(dialog=[members])) == [(f"dialog[0].{name}", "forbidden")]
    assert validate(doc(dialog=[members])).uuid == UUID
    assert validate(new(dialog=[members | {name: None}])).uuid == UUID


def test_all_problems_are_listed() -> None:
    document = doc(
        uuid="x",
        created_at=5,
        parties=[{"name": 1}, 2],
        dialog=[{"type": 1, "parties": [7, "x"]}, "y", {"type": "z", "originator": 9}],
        analysis=[{"dialog": 3}],
        critical=["x"],
    )
    assert sorted(places(document)) == [
        ("analysis[0].dialog", "out_of_range"),
        ("analysis[0].type", "missing"),
        ("created_at", "wrong_type"),
        ("critical[0]", "unsupported_extension"),
        ("dialog[0].parties[1]", "wrong_type"),
        ("dialog[0].type", "wrong_type"),
        ("dialog[1]", "wrong_type"),
        ("dialog[2].originator", "out_of_range"),
        ("dialog[2].type", "unknown_type"),
        ("parties[0].name", "wrong_type"),
        ("parties[1]", "wrong_type"),
        ("uuid", "bad_uuid"),
    ]


def test_a_hostile_document_ends_soon() -> None:
    dialogs = [{"type": "transfer", "original": list(range(20_000))}] + [{}] * 19_999
    assert validate(doc(dialog=dialogs)).uuid == UUID
    error = refusal(doc(dialog=[{}] * 20_000))
    assert error is not None
    assert len(error.problems) == 100


def jws(payload: bytes, **header: str) -> bytes:
    signature = {"protected": b64(b'{"alg":"RS256"}'), "header": header, "signature": "x"}
    return json.dumps({"payload": b64(payload), "signatures": [signature]}).encode()


@pytest.mark.parametrize(
    "document",
    [
        jws(b"opaque", uuid=UUID.upper()),
        jws(doc()),
        jws(gzip.compress(doc())),
        jws(jws(gzip.compress(jws(doc())))),
        jws(jws(b"opaque", uuid=UUID)),
        json.dumps({"payload": "x", "signatures": [{"protected": b64(doc())}]}).encode(),
        json.dumps({"payload": "x", "signatures": [{}], "uuid": UUID}).encode(),
    ],
)
def test_uuid_of_a_signed_vcon(document: bytes) -> None:
    assert validate(document) == Facts(UUID, uuid_time(UUID) or 0.0, None, "signed")


def test_signatures_inside_signatures_are_limited() -> None:
    document = doc()
    for _ in range(envelope.MAX_NESTING + 1):
        document = jws(document)
    assert places(document) == [("payload", "too_deep")]


def test_a_gzip_bomb_ends_early() -> None:
    bomb = jws(gzip.compress(doc(x="0" * 100_000)))
    assert validate(bomb, unpack=200_000).uuid == UUID
    with pytest.raises(InvalidVcon, match="payload: the payload is cut off or unpacks"):
        validate(bomb, unpack=10_000)
    assert places(jws(gzip.compress(b" " * 40_000_000))) == [("payload", "too_large")]


@pytest.mark.parametrize(
    "outer",
    [
        {"unprotected": {"uuid": UUID}},
        {"uuid": UUID},
        {"protected": b64(doc())},
        {"recipients": [{"header": {"uuid": UUID}}]},
    ],
)
def test_uuid_of_an_encrypted_vcon(outer: dict[str, object]) -> None:
    document = json.dumps({"ciphertext": "x", "recipients": [{}]} | outer).encode()
    assert validate(document) == Facts(UUID, uuid_time(UUID) or 0.0, None, "encrypted")


SECRET = "s3cr3t-W0rds"
KEYS = ["uuid", "created_at", "vcon", "critical", "redacted", "amended", "type", "parties"]
KEYS += ["dialog", "body", "url", "analysis", "attachments", "originator", "original", "tel"]
secretive = st.recursive(
    st.just(SECRET) | st.integers(-3, 3) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYS, SECRET]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*KEYS, SECRET]), secretive), st.integers(0, 40))
def test_no_problem_quotes_the_document(members: dict[str, object], cut: int) -> None:
    text = json.dumps(vcon() | members).encode()
    for document in (text, text[: len(text) - cut], text.replace(SECRET.encode(), b"\xff", cut)):
        assert SECRET not in str(refusal(document))


@given(st.dictionaries(texts, values))
def test_unknown_members_never_matter(members: dict[str, object]) -> None:
    known = vcon()
    document = json.dumps({f"x-{name}": value for name, value in members.items()} | known)
    assert validate(document.encode()).uuid == UUID


@given(st.binary(max_size=60))
def test_any_bytes_are_accepted_or_refused(data: bytes) -> None:
    for document in (data, doc()[:-1] + data):
        error = refusal(document)
        assert error is None or error.problems
