import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_samples import UUID, doc, ietf, vcon

from vconflow.model.merge import merge
from vconflow.model.validation import validate
from vconflow.model.vcon import Vcon

BASE = doc(
    analysis=[{"type": "a", "vendor": "v", "dialog": 0}],
    attachments=[{"type": "note", "body": "n"}],
    subject="s",
)


def changed(base: bytes = BASE, /, **members: Any) -> bytes:
    whole = json.loads(base) | members
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def grown(base: bytes = BASE, /, **items: list[Any]) -> bytes:
    whole = json.loads(base)
    return changed(base, **{name: whole.get(name, []) + more for name, more in items.items()})


def merged(ours: bytes, theirs: bytes, base: bytes = BASE) -> Any:
    result = merge(base, ours, theirs)
    assert result is not None
    validate(result)
    return json.loads(result)


def test_one_side_only() -> None:
    other = changed(subject="x")
    assert merge(BASE, other, BASE) == other
    assert merge(BASE, BASE, other) == other
    assert merge(BASE, other, other) == other


def test_additions_are_joined_theirs_first() -> None:
    ours = grown(analysis=[{"type": "ours"}], parties=[{"name": "o"}])
    theirs = grown(analysis=[{"type": "theirs"}], parties=[{"name": "t"}])
    result = merged(ours, theirs)
    assert [item["type"] for item in result["analysis"]] == ["a", "theirs", "ours"]
    assert [item.get("name") for item in result["parties"]] == ["Ann", None, "t", "o"]


def test_the_same_addition_is_one() -> None:
    ours = grown(analysis=[{"type": "x", "n": 1}, {"type": "y"}])
    theirs = grown(analysis=[{"n": 1, "type": "x"}], parties=[{}])
    assert [item["type"] for item in merged(ours, theirs)["analysis"]] == ["a", "x", "y"]


def test_indices_follow_what_ours_added() -> None:
    ours = grown(
        parties=[{"name": "o"}],
        dialog=[
            {"type": "text", "parties": [0, [2]], "originator": 2,
             "party_history": [{"party": 2}]},
            {"type": "transfer", "transferee": 2, "original": [1, -1], "target_dialog": 0},
        ],
        attachments=[{"type": "o", "party": 2, "dialog": 1}],
        analysis=[{"type": "o", "dialog": [0, 1, 2], "attachment": 1}],
    )  # fmt: skip
    theirs = grown(
        parties=[{"name": "t"}],
        dialog=[{"type": "text", "parties": [2]}],
        attachments=[{"type": "t", "party": 2}],
        analysis=[{"type": "t", "dialog": 1, "attachment": 1}],
    )
    result = merged(ours, theirs)
    assert result["dialog"][1:] == [
        {"type": "text", "parties": [2]},
        {"type": "text", "parties": [0, [3]], "originator": 3, "party_history": [{"party": 3}]},
        {"type": "transfer", "transferee": 3, "original": [2, -1], "target_dialog": 0},
    ]
    assert result["attachments"][1:] == [
        {"type": "t", "party": 2},
        {"type": "o", "party": 3, "dialog": 2},
    ]
    assert result["analysis"][1:] == [
        {"type": "t", "dialog": 1, "attachment": 1},
        {"type": "o", "dialog": [0, 2, 3], "attachment": 2},
    ]


def test_top_level_members() -> None:
    ours = changed(subject="ours", extra={"a": 1})
    theirs = changed(other=1, analysis=[])
    result = merged(ours, theirs)
    assert (result["subject"], result["extra"], result["other"]) == ("ours", {"a": 1}, 1)
    assert result["analysis"] == []
    removed = merged(changed(subject=...), changed(other=1))
    assert "subject" not in removed
    assert merged(changed(n=1), changed(n=1, m=2))["n"] == 1


def test_an_item_changed_in_place_by_one_side() -> None:
    ours = changed(dialog=[{"type": "text", "parties": [0], "body": "x"}])
    theirs = grown(dialog=[{"type": "text"}])
    assert merged(ours, theirs)["dialog"] == [
        {"type": "text", "parties": [0], "body": "x"},
        {"type": "text"},
    ]
    assert merged(theirs, ours) == merged(ours, theirs)


def test_the_later_updated_at_stays() -> None:
    base = changed(updated_at="2024-01-01T00:00:00Z")
    ours = changed(base, updated_at="2024-01-03T00:00:00Z", a=1)
    theirs = changed(base, updated_at="2024-01-02T00:00:00Z", b=1)
    for one, two in ((ours, theirs), (theirs, ours)):
        assert merged(one, two, base)["updated_at"] == "2024-01-03T00:00:00Z"


def tagged(base: bytes, *names: str) -> bytes:
    link = Vcon(base)
    for name in names:
        link.add_tag(name, "1")
    return link.to_bytes()


@pytest.mark.parametrize("base", [BASE, tagged(BASE, "old"), doc()])
def test_tags_are_united(base: bytes) -> None:
    ours = grown(tagged(base, "o", "both"), analysis=[{"type": "x"}])
    theirs = tagged(base, "both", "t")
    result = Vcon(merge(base, ours, theirs) or b"")
    assert [t for t in result.tags if t != "old:1"] == ["both:1", "t:1", "o:1"]
    assert sum(item.get("type") == "tags" for item in result.attachments) == 1


def test_tags_and_other_attachments() -> None:
    ours = grown(
        tagged(BASE, "o"), attachments=[{"type": "o"}], analysis=[{"type": "x", "attachment": 2}]
    )
    theirs = tagged(grown(attachments=[{"type": "t"}]), "t")
    result = merged(ours, theirs)
    assert [item["type"] for item in result["attachments"]] == ["note", "t", "tags", "o"]
    assert result["analysis"][-1] == {"type": "x", "attachment": 3}


TAGS = tagged(BASE, "a", "b")
MOVES = "an analysis removed, another may point at what moves"
CONFLICTS = {
    "a member": (changed(subject="a"), changed(subject="b")),
    "removed and changed": (changed(subject=...), changed(subject="b")),
    "an item": (
        changed(dialog=[{"type": "text", "n": 1}]),
        changed(dialog=[{"type": "text", "n": 2}]),
    ),
    "an item removed, another added": (changed(dialog=[]), grown(dialog=[{"type": "text"}])),
    "a dialog removed, an analysis of it added": (
        changed(dialog=[], analysis=[]),
        grown(analysis=[{"type": "x", "dialog": 0}]),
    ),
    "parties turned round": (
        changed(parties=vcon()["parties"][::-1]),
        grown(dialog=[{"type": "text", "parties": [0]}]),
    ),
    "a party put first": (
        changed(parties=[{"name": "new"}, *vcon()["parties"]]),
        grown(analysis=[{"type": "x"}]),
    ),
    "a member that may hold indices": (
        changed(grown(dialog=[{"type": "text", "n": 1}]), sessions=[{"dialog": [1]}]),
        grown(dialog=[{"type": "text", "n": 2}]),
    ),
    MOVES: (
        changed(
            grown(dialog=[{"type": "text", "n": 1}]),
            analysis=[],
        ),
        grown(dialog=[{"type": "text", "n": 2}], parties=[{"name": "new"}]),
    ),
    "another uuid": (changed(uuid=UUID[:-1] + "0"), changed(subject="x")),
    "no list": (changed(analysis={}), changed(analysis=[], subject="x")),
    "no vcon": (b"{", changed(subject="x")),
    "updated_at of no date": (changed(updated_at="a"), changed(updated_at="b")),
    "signed": (ietf("ab_call_ext_rec_signed.vcon"), changed(subject="x")),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs"), CONFLICTS.values(), ids=CONFLICTS)
def test_true_conflicts(ours: bytes, theirs: bytes) -> None:
    assert merge(BASE, ours, theirs) is None


def test_what_is_certain_one_way_round_only() -> None:
    ours, theirs = CONFLICTS["a member that may hold indices"]
    assert merged(theirs, ours)["sessions"] == [{"dialog": [1]}]


@pytest.mark.parametrize(
    "name", sorted(CONFLICTS.keys() - {"a member that may hold indices", MOVES})
)
def test_most_conflicts_are_conflicts_either_way(name: str) -> None:
    ours, theirs = CONFLICTS[name]
    assert merge(BASE, theirs, ours) is None


def test_a_tag_taken_away_is_a_conflict() -> None:
    attachments = json.loads(TAGS)["attachments"]
    fewer = changed(TAGS, attachments=[attachments[0], attachments[1] | {"body": ["b:1"]}])
    assert merge(TAGS, fewer, tagged(TAGS, "c")) is None
    assert merge(TAGS, tagged(TAGS, "c"), fewer) is None


def test_what_nobody_touched_stays_byte_for_byte() -> None:
    base = BASE.replace(b'"subject"', b'"n": [1.10,  1e400], "subject"')
    ours, theirs = tagged(base, "o"), base.replace(b'"s"', b'"x"')
    result = merge(base, ours, theirs)
    assert result is not None
    assert b'"n":[1.10,  1e400]' in result


item = st.builds(lambda number: {"type": "text", "n": number}, st.integers(0, 3))
party = st.builds(lambda number: {"name": str(number)}, st.integers(0, 3))
additions = st.fixed_dictionaries(
    {"parties": st.lists(party, max_size=3)}
    | {name: st.lists(item, max_size=3) for name in ("dialog", "analysis", "attachments")}
)


@given(additions, additions)
def test_additions_never_conflict_and_none_is_lost(
    ours: dict[str, list[Any]], theirs: dict[str, list[Any]]
) -> None:
    base, right = json.loads(BASE), json.loads(grown(**theirs))
    result = merged(grown(**ours), grown(**theirs))
    for name, more in ours.items():
        assert result[name][: len(right[name])] == right[name]
        added = result[name][len(base[name]) :]
        for addition in more:
            twice = max(more.count(addition), theirs[name].count(addition))
            assert added.count(addition) == twice


@given(additions)
def test_merging_a_change_with_itself_or_nothing_changes_nothing(
    more: dict[str, list[Any]],
) -> None:
    other = grown(**more)
    assert merge(BASE, other, BASE) == other
    assert merge(BASE, BASE, other) == other
    spaced = json.dumps(json.loads(other), indent=1).encode()
    assert json.loads(merge(BASE, other, spaced) or b"") == json.loads(other)
