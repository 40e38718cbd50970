import copy
import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_samples import (
    IETF_VALID,
    UUID,
    conversations,
    doc,
    ietf,
    new,
    number_texts,
    texts,
    values,
    vcon,
)

from vconflow.errors import InvalidVcon, Permanent
from vconflow.model.rawjson import ExactFloat
from vconflow.model.validation import validate
from vconflow.model.vcon import Vcon


def raw_members(document: bytes) -> dict[str, bytes]:
    members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    return {name: bytes(raw) for name, raw in members.items()}


def test_nothing_changed_gives_the_same_bytes() -> None:
    for document in conversations() + [ietf(name) for name in IETF_VALID]:
        link = Vcon(document)
        assert link.uuid == validate(document).uuid
        assert (link.parties, link.tags, link.subject) is not None
        assert link.to_bytes() is document
        assert not link.changed


def test_its_own_uuid_is_told_from_any_other() -> None:
    other = "00000000-0000-4000-8000-000000000000"
    for document in conversations() + [ietf(name) for name in IETF_VALID]:
        assert Vcon(document).has_uuid(Vcon(document).uuid)
        assert not Vcon(document).has_uuid(other)
    escaped = UUID.replace("0", "\\u0030", 1)
    for text in (UUID, UUID.upper(), f"urn:uuid:{UUID}", UUID.replace("-", ""), escaped):
        spelled = Vcon(b'{"uuid": "%b"}' % text.encode())
        assert (spelled.has_uuid(UUID), spelled.has_uuid(other)) == (True, False)
    for nothing in (b"{}", b'{"uuid": null}', b'{"uuid": 1}', b'{"uuid": "x"}'):
        with pytest.raises(InvalidVcon):
            Vcon(nothing).has_uuid(UUID)


def test_every_conversation_keeps_what_a_tag_does_not_touch() -> None:
    for document in conversations():
        link = Vcon(document)
        link.add_tag("seen", "yes")
        assert link.changed
        before, after = raw_members(document), raw_members(link.to_bytes())
        assert list(after) == list(before)
        assert {n: r for n, r in after.items() if n != "attachments"} == {
            n: r for n, r in before.items() if n != "attachments"
        }
        old = json.loads(before["attachments"])
        assert json.loads(after["attachments"]) == [
            *old,
            {"type": "tags", "body": ["seen:yes"], "encoding": "json"},
        ]
        validate(link.to_bytes())


def test_views_are_copies() -> None:
    link = Vcon(doc())
    link.parties.append({})
    link.dialog[0]["x"] = 1
    link.get("parties")[0].clear()
    link.edit("dialog")
    link.dialog[0]["x"] = 1
    assert link.to_bytes() == doc()


def test_an_edit_is_seen_by_views_and_written() -> None:
    link = Vcon(doc())
    link.edit("dialog")[0]["body"] = "hello"
    assert link.dialog[0]["body"] == "hello"
    assert json.loads(link.to_bytes()) == vcon(dialog=[vcon()["dialog"][0] | {"body": "hello"}])
    link.edit("dialog")[0].pop("body")
    assert not link.changed
    assert link.to_bytes() == doc()


def test_edit_of_a_missing_or_null_list() -> None:
    link = Vcon(doc(analysis=None))
    assert link.edit("analysis") == link.edit("attachments") == []
    assert link.to_bytes() == doc(analysis=None)
    link.edit("attachments").append({"type": "a"})
    assert json.loads(link.to_bytes()) == vcon(analysis=None, attachments=[{"type": "a"}])
    with pytest.raises(TypeError, match="subject"):
        Vcon(doc(subject="x")).edit("subject")


def test_set_get_remove() -> None:
    link = Vcon(doc(subject="a", meta={"x": 1}))
    link.set("subject", "a")
    link.set("meta", {"x": 1})
    assert not link.changed
    link.set("more", [1])
    link.set("subject", "b")
    link.remove("meta")
    link.remove("nothing")
    assert link.get("more") == [1]
    assert link.get("meta", "gone") == "gone"
    assert link.subject == "b"
    assert list(json.loads(link.to_bytes()))[-2:] == ["subject", "more"]
    for name in ("uuid", "created_at"):
        with pytest.raises(ValueError, match=name):
            link.set(name, "x")
        with pytest.raises(ValueError, match=name):
            link.remove(name)
    with pytest.raises(TypeError):
        link.set("x", object())


def test_set_takes_a_copy() -> None:
    link, value = Vcon(doc()), {"a": 1}
    link.set("meta", value)
    value["a"] = 2
    assert link.get("meta") == {"a": 1}


def test_mark_is_equal_while_nothing_changes() -> None:
    link = Vcon(doc(updated_at="2024-03-11T09:30:00Z"))
    first = link.mark
    link.add_tag("a", "b")
    second = link.mark
    link.add_tag("a", "b")
    assert first != second
    assert second == link.mark


def test_updated_at_follows_only_where_it_stands() -> None:
    def clock() -> Iterator[datetime]:
        moment = datetime(2025, 1, 1, tzinfo=UTC)
        while True:
            yield moment
            moment += timedelta(hours=1)

    ticks = clock()
    link = Vcon(doc(updated_at="2024-03-11T09:30:00Z"), now=lambda: next(ticks))
    link.set("subject", "x")
    assert json.loads(link.to_bytes())["updated_at"] == "2025-01-01T00:00:00.000000+00:00"
    assert link.to_bytes() == link.to_bytes()
    link.set("subject", "y")
    assert json.loads(link.to_bytes())["updated_at"] == "2025-01-01T01:00:00.000000+00:00"
    link.set("updated_at", "mine")
    assert json.loads(link.to_bytes())["updated_at"] == "mine"


@pytest.mark.parametrize("member", ["type", "purpose"])
@pytest.mark.parametrize("version", ["0.0.1", "0.4.0", None])
@pytest.mark.parametrize("body", [["a:1"], '["a:1"]'])
def test_tags_are_found_under_both_names(member: str, version: str | None, body: Any) -> None:
    document = doc(vcon=version, attachments=[{member: "tags", "body": body, "encoding": "json"}])
    link = Vcon(document)
    link.add_tag("a", "1")
    assert link.to_bytes() == document
    link.add_tag("b", "2:3")
    assert link.tags == ["a:1", "b:2:3"]
    assert link.get_tag("b") == "2:3"
    assert link.get_tag("c") is None
    (attachment,) = link.attachments
    assert isinstance(attachment["body"], type(body))


def test_a_new_tag_uses_the_names_of_its_version() -> None:
    for version, member in (("0.0.1", "type"), ("0.3.0", "type"), ("0.4.0", "purpose")):
        link = Vcon(doc(vcon=version))
        link.add_tag("a", "1")
        assert link.attachments == [{member: "tags", "body": ["a:1"], "encoding": "json"}]


def test_added_items_use_the_names_of_their_version() -> None:
    def fill(document: bytes) -> Vcon:
        link = Vcon(document)
        assert (
            link.add_analysis(
                type="summary", dialog=0, vendor="v", body={"a": 1}, schema="s", mediatype="m/t"
            )
            == 0
        )
        assert link.add_analysis(type="note", dialog=[0], vendor="v", body="text") == 1
        assert (
            link.add_attachment(
                purpose="scan", url="https://a", content_hash="sha512-abc", body=None, party=1
            )
            == 0
        )
        assert link.add_party(tel="+1") == 2
        assert link.add_dialog(type="recording", mediatype="audio/wav", parties=[2]) == 1
        validate(link.to_bytes())
        return link

    newest = fill(new())
    assert newest.analysis[0] == {
        "type": "summary", "dialog": 0, "vendor": "v", "schema": "s", "mediatype": "m/t",
        "body": {"a": 1}, "encoding": "json",
    }  # fmt: skip
    assert newest.attachments[0]["purpose"] == "scan"
    assert newest.attachments[0]["content_hash"] == "sha512-abc"
    oldest = fill(doc())
    assert oldest.analysis[0] == {
        "type": "summary", "dialog": 0, "vendor": "v", "vendor_schema": "s", "mimetype": "m/t",
        "body": {"a": 1}, "encoding": "none",
    }  # fmt: skip
    assert oldest.analysis[1]["encoding"] == "none"
    assert oldest.attachments[0]["type"] == "scan"
    assert oldest.attachments[0]["alg"] == "SHA-512"
    assert oldest.attachments[0]["signature"] == "abc"
    assert oldest.dialog[1]["mimetype"] == "audio/wav"


def test_find() -> None:
    link = Vcon(
        doc(
            analysis=[
                {"type": "a", "dialog": 0, "n": 1},
                {"type": "a", "dialog": [1, 2], "n": 2},
                {"type": "b", "n": 3},
            ],
            attachments=[{"type": "x"}, {"purpose": "y"}],
        )
    )
    assert [link.find_analysis("a", at)["n"] for at in (0, 1, 2)] == [1, 2, 2]  # type: ignore[index]
    assert link.find_analysis("a", 3) is link.find_analysis("c") is None
    assert (link.find_analysis("b") or {})["n"] == 3
    assert link.find_attachment("x") == {"type": "x"}
    assert link.find_attachment("y") == {"purpose": "y"}
    assert link.find_attachment("z") is None


@pytest.mark.parametrize("name", ["ab_call_ext_rec_signed.vcon", "ab_call_ext_rec_encrypted.vcon"])
def test_signed_and_encrypted_vcons_cannot_be_changed(name: str) -> None:
    link = Vcon(ietf(name))
    assert link.form in name
    with pytest.raises(Permanent, match="amended"):
        link.set("a", 1)
    with pytest.raises(Permanent, match="amended"):
        link.add_tag("a", "b")
    assert link.to_bytes() == ietf(name)


def test_bytes_that_are_no_object() -> None:
    for document in (b"", b"[]", b"{", b"\xff"):
        with pytest.raises(InvalidVcon):
            Vcon(document)
    with pytest.raises(InvalidVcon):
        _ = Vcon(b"{}").uuid


def test_numbers_keep_their_text_in_touched_members() -> None:
    numbers = b"[1.0,1.10,1E5,1e400,-0.0,0.1,12345678901234567890123,1e-7,0.30000000000000004]"
    document = doc(dialog=[{"x": 0, "numbers": 1}]).replace(
        b'"numbers": 1', b'"numbers":' + numbers
    )
    link = Vcon(document)
    link.edit("dialog")[0]["x"] = 1
    assert numbers in link.to_bytes()
    assert all(type(number) in (int, float) for number in link.dialog[0]["numbers"])


def test_a_repeated_name_counts_once() -> None:
    document = doc().replace(b"{", b'{"subject": "a", "subject": "b", ', 1)
    link = Vcon(document)
    assert link.subject == "b"
    assert link.to_bytes() == document
    link.add_tag("x", "y")
    assert link.to_bytes().startswith(b'{"subject":"b","uuid":')


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    members = {f"x-{k}": v for k, v in draw(st.dictionaries(texts, values, max_size=3)).items()}
    members |= {"attachments": draw(st.lists(st.dictionaries(texts, values, max_size=3)))}
    indent = draw(st.sampled_from([None, 1]))
    text = json.dumps(vcon(**members), indent=indent, ensure_ascii=draw(st.booleans()))
    return text.replace("null", draw(number_texts)).encode()


@given(documents())
def test_untouched_members_stay_byte_for_byte(document: bytes) -> None:
    before = raw_members(document)
    for name in [*before, "missing"]:
        if name in ("uuid", "created_at"):
            continue
        link = Vcon(document)
        assert link.to_bytes() is document
        link.set(name, {"new": True})
        after = raw_members(link.to_bytes())
        assert after.pop(name) == b'{"new":true}'
        assert after == {key: raw for key, raw in before.items() if key != name}
        assert [key for key in before if key != name] == list(after)


@given(documents())
def test_a_touched_list_keeps_its_items(document: bytes) -> None:
    link = Vcon(document)
    link.edit("attachments").append({})
    written = link.to_bytes()
    assert json.loads(written) == json.loads(document) | {
        "attachments": [*json.loads(document)["attachments"], {}]
    }
    link.edit("attachments").pop()
    assert link.to_bytes() == document


@given(number_texts)
def test_any_number_survives_an_edit(text: str) -> None:
    document = b'{"list":[%b]}' % text.encode()
    link = Vcon(document)
    link.edit("list").append(1)
    # The one text that changes: JSON's integer -0 is the integer 0.
    expected = "0" if text == "-0" else text
    assert link.to_bytes() == b'{"list":[%b,1]}' % expected.encode()


def test_exact_floats_can_be_copied() -> None:
    number: Any = ExactFloat("1.10")
    for copied in (
        copy.deepcopy(number),
        pickle.loads(pickle.dumps(number)),
    ):
        assert (copied, copied.text) == (1.1, "1.10")
