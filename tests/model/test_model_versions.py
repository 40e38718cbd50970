import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_samples import IETF_VALID, conversations, doc, ietf, new, texts, values, vcon

from vconflow.errors import InvalidVcon
from vconflow.model.renames import LEGACY, names_for
from vconflow.model.validation import validate
from vconflow.model.versions import downgrade, upgrade


def up(**members: Any) -> Any:
    return json.loads(upgrade(doc(**members)))


def down(version: str = "0.0.1", /, **members: Any) -> Any:
    return json.loads(downgrade(new(**members), version))


def test_every_conversation_becomes_a_valid_new_one_and_back() -> None:
    for document in conversations():
        upgraded = upgrade(document)
        assert validate(upgraded).version == "0.4.0"
        assert validate(downgrade(upgraded)).version == "0.0.1"
        assert upgrade(upgraded) is upgraded
        assert upgrade(downgrade(upgraded)) == upgraded
        for old, members in json.loads(upgraded).items():
            assert old not in ("group", "redacted", "appended")
            for item in members if isinstance(members, list) else ():
                assert not item.keys() & {"mimetype", "alg", "signature"}


@pytest.mark.parametrize("name", IETF_VALID)
def test_ietf_examples(name: str) -> None:
    document = ietf(name)
    if validate(document).form != "unsigned":
        for convert in (upgrade, downgrade):
            with pytest.raises(InvalidVcon) as caught:
                convert(document)
            assert caught.value.problems[0].type == "opaque"
    else:
        assert validate(downgrade(document)).version == "0.0.1"


HEX = "ab" * 64
UPGRADES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("dialog", {"mimetype": "a/b"}, {"mediatype": "a/b"}),
    ("dialog", {"mimetype": "a/b", "mediatype": "c/d"}, {"mediatype": "c/d"}),
    ("dialog", {"alg": "SHA-512", "signature": "a+/="}, {"content_hash": "sha512-a-_"}),
    ("dialog", {"signature": "ab", "alg": "sha256"}, {"content_hash": "sha256-ab"}),
    ("dialog", {"alg": "sha512", "signature": HEX},
     {"content_hash": "sha512-" + "q6ur" * 21 + "qw"}),
    ("dialog", {"alg": "LM-OTS", "signature": "x"}, {"alg": "LM-OTS", "signature": "x"}),
    ("dialog", {"alg": "sha512", "signature": "a", "content_hash": "sha512-b"},
     {"content_hash": "sha512-b"}),
    ("dialog", {"content_hash": "SHA-512-ab=="}, {"content_hash": "sha512-ab"}),
    ("dialog", {"content_hash": ["SHA-256-ab"]}, {"content_hash": ["sha256-ab"]}),
    ("dialog", {"transfer-target": 0, "target-dialog": 1},
     {"transfer_target": 0, "target_dialog": 1}),
    ("dialog", {"session_id": "a"}, {"session_id": {"local": "a"}}),
    ("dialog", {"session_id": "a;remote=b"}, {"session_id": {"local": "a", "remote": "b"}}),
    ("dialog", {"party_history": [{"event": "dtmfdown", "dtmf": "1"}, {"event": "dtmfup"}]},
     {"party_history": [{"event": "keydown", "button": "1"}, {"event": "keyup"}]}),
    ("attachments", {"type": "a"}, {"purpose": "a"}),
    ("attachments", {"type": "a", "purpose": "b"}, {"type": "a", "purpose": "b"}),
    ("attachments", {"body": {"a": 1}, "encoding": "none"}, {"body": {"a": 1}, "encoding": "json"}),
    ("attachments", {"body": '{"a":1}', "encoding": "json"},
     {"body": {"a": 1}, "encoding": "json"}),
    ("attachments", {"body": "no JSON", "encoding": "json"},
     {"body": "no JSON", "encoding": "json"}),
    ("attachments", {"body": "[1]", "encoding": "none"}, {"body": "[1]", "encoding": "none"}),
    ("analysis", {"vendor_schema": "a"}, {"schema": "a"}),
    ("analysis", {"schema_version": "a"}, {"schema": "a"}),
    ("analysis", {"schema_version": "b", "vendor_schema": "a"},
     {"schema_version": "b", "schema": "a"}),
    ("analysis", {"schema": "a", "vendor_schema": "b"}, {"schema": "a"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "expected"), UPGRADES)
def test_upgrade_of_an_item(name: str, old: dict[str, Any], expected: dict[str, Any]) -> None:
    members = up(**{name: [old, {"other": 1}, "odd"]})
    assert members[name] == [expected, {"other": 1}, "odd"]
    assert list(members[name][0]) == list(expected) or "session_id" in old


def test_upgrade_of_the_top() -> None:
    members = up(appended={"uuid": "x"}, must_support=["a"], group=[], redacted={})
    assert members == vcon(vcon="0.4.0", amended={"uuid": "x"}, critical=["a"])
    assert up(group=[{"uuid": "x"}], appended=None) == vcon(vcon="0.4.0", group=[{"uuid": "x"}])
    assert up(redacted={"alg": "sha512", "signature": "x"})["redacted"] == {
        "content_hash": "sha512-x"
    }


def test_upgrade_adds_nothing_and_touches_no_more_than_it_must() -> None:
    document = doc(vcon=..., attachments=[{"purpose": "a", "body": 1}]).replace(b"1}", b"1.10 }")
    assert upgrade(document) is document
    old = doc(analysis=[{"body": {"n": 7777}}]).replace(b"7777", b"1e400 ")
    assert b'{"body": {"n": 1e400 }}' in upgrade(old)


def test_text_bodies_of_the_newest_version_are_left_alone() -> None:
    document = new(attachments=[{"purpose": "a", "body": "[1]", "encoding": "json"}])
    assert upgrade(document) is document


DOWNGRADES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("dialog", {"mediatype": "a/b"}, {"mimetype": "a/b"}),
    ("dialog", {"content_hash": "sha512-ab"}, {"signature": "ab", "alg": "SHA-512"}),
    ("dialog", {"content_hash": ["sha256-x", "sha512-ab"]}, {"signature": "ab", "alg": "SHA-512"}),
    ("dialog", {"content_hash": "md5-ab"}, {"content_hash": "md5-ab"}),
    ("dialog", {"transfer_target": 0}, {"transfer-target": 0}),
    ("dialog", {"session_id": {"local": "a"}, "recording_set": 0}, {}),
    ("dialog", {"party_history": [{"event": "keydown", "button": "1"}]},
     {"party_history": [{"event": "dtmfdown", "dtmf": "1"}]}),
    ("parties", {"type": "bot", "org": "x", "dept": "y", "name": "z"}, {"name": "z"}),
    ("attachments", {"purpose": "a", "type": "b"}, {"type": "a"}),
    ("attachments", {"purpose": "tags", "body": ["a:b"], "encoding": "json"},
     {"type": "tags", "body": ["a:b"], "encoding": "json"}),
    ("attachments", {"body": [1], "encoding": "json"}, {"body": [1], "encoding": "none"}),
    ("attachments", {"body": "a", "encoding": "json"}, {"body": '"a"', "encoding": "json"}),
    ("attachments", {"body": None, "encoding": "json"}, {"body": None, "encoding": "json"}),
    ("analysis", {"schema": "a", "attachment": 0}, {"vendor_schema": "a"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "item", "expected"), DOWNGRADES)
def test_downgrade_of_an_item(name: str, item: dict[str, Any], expected: dict[str, Any]) -> None:
    assert down(**{name: [item]})[name] == [expected]


def test_downgrade_of_the_top() -> None:
    empty: dict[str, Any] = {"group": [], "redacted": {}, "appended": None}
    assert down(critical=[], extensions=["a"]) == vcon() | empty
    assert down(amended={"uuid": "x"}) == vcon() | empty | {"appended": {"uuid": "x"}}
    assert down("0.3.0", critical=["a"], extensions=["a"]) == vcon(
        vcon="0.3.0", must_support=["a"], extensions=["a"]
    )
    assert down("0.3.0", dialog=[{"session_id": {"local": "a", "remote": "b"}}])["dialog"] == [
        {"session_id": "a;remote=b"}
    ]
    assert down("0.0.2", dialog=[{"mediatype": "a", "content_hash": "sha512-a"}])["dialog"] == [
        {"mediatype": "a", "content_hash": "sha512-a"}
    ]


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"critical": ["a"]}, "critical"),
        ({"dialog": [{"type": "recording-set", "recordings": []}]}, "dialog[0].type"),
        ({"dialog": [{"type": "recording", "parties": [0, None]}]}, "dialog[0].parties"),
    ],
)
def test_what_has_no_legacy_form_is_refused(members: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidVcon) as caught:
        downgrade(new(**members))
    assert [(p.place, p.type) for p in caught.value.problems] == [(place, "no_legacy_form")]


def test_downgrade_to_what() -> None:
    assert downgrade(doc(), "0.0.1") == doc()
    assert json.loads(downgrade(doc(dialog=[{"mimetype": "a"}]), "0.3.0"))["dialog"] == [
        {"mediatype": "a"}
    ]
    with pytest.raises(ValueError, match=r"0\.0\.1"):
        downgrade(doc(), "0.4.0")


def test_names_for() -> None:
    assert names_for("dialog", "0.0.2") == {
        "transfer_target": "transfer-target",
        "target_dialog": "target-dialog",
    }
    assert names_for("attachments", "0.3.0") == {"purpose": "type"}
    assert names_for("attachments", "0.4.0") == names_for("attachments", None) == {}
    assert names_for("attachments", "9.9") == {}


extra = st.dictionaries(texts.map("x-{}".format), values, max_size=2)
content = st.fixed_dictionaries(
    {},
    optional={
        "mediatype": texts,
        "content_hash": st.sampled_from(["sha512-YWJj", "sha256-YQ", "md5-x"]),
        "url": texts,
    },
)
json_body = st.fixed_dictionaries({"body": values, "encoding": st.just("json")})
text_body = st.fixed_dictionaries({"body": texts, "encoding": st.just("none")})
bodies: st.SearchStrategy[dict[str, Any]] = st.just({}) | json_body | text_body


def joined(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda found: {k: v for part in found for k, v in part.items()})


newest = st.fixed_dictionaries(
    {},
    optional={
        "parties": st.lists(extra, max_size=2),
        "dialog": st.lists(
            joined(
                extra,
                content,
                bodies,
                st.fixed_dictionaries(
                    {"type": st.sampled_from(["text", "recording"])},
                    optional={
                        "transfer_target": st.integers(0, 3),
                        "party_history": st.just([{"event": "keyup", "button": "1"}]),
                    },
                ),
            ),
            max_size=3,
        ),
        "analysis": st.lists(
            joined(extra, content, bodies, st.fixed_dictionaries({"schema": texts})), max_size=2
        ),
        "attachments": st.lists(
            joined(
                extra,
                content,
                bodies,
                st.fixed_dictionaries({"purpose": st.just("tags") | texts}),
            ),
            max_size=2,
        ),
        "amended": st.just({"uuid": "x", "url": "u", "content_hash": "sha512-YWJj"}),
    },
)


@given(newest, st.sampled_from(LEGACY))
def test_upgrade_takes_a_downgrade_back(members: dict[str, Any], version: str) -> None:
    document = new(**members)
    restored = upgrade(downgrade(document, version))
    assert json.loads(restored) == json.loads(document)
    assert upgrade(restored) is restored
