"""What of a vCon goes into the index, and how it is cut."""

import base64
import json
import time
from typing import Any

import pytest

from vconflow.adapters.storages.milvus_rows import changes, wanted
from vconflow.adapters.storages.milvus_text import passages
from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon

UUID = "019d1000-0000-8000-8000-000000000001"
LENGTHS = {"vcon_uuid": 100, "text": 1000, "rev": None, "party_id": 100, "embedding_model": 50}


def _passages(**members: Any) -> list[str]:
    return passages(Vcon(json.dumps({"uuid": UUID, **members}).encode()))


def _analysis(body: Any, type: str = "transcript", **members: Any) -> dict[str, Any]:
    return {"analysis": [{"type": type, "body": body, **members}]}


@pytest.mark.parametrize(
    "members",
    [
        _analysis("It was said."),
        _analysis({"text": "It was said."}),
        _analysis({"transcript": "It was said.", "confidence": 0.9}),
        _analysis({"paragraphs": {"transcript": "\nIt was said."}}),
        _analysis({"transcript": {"text": "It was said."}}, "wtf_transcription"),
        _analysis({"results": {"channels": [{"alternatives": [{"transcript": "It was said."}]}]}}),
        _analysis([{"text": "It was"}, {"text": "said."}]),
        _analysis('{"text": "It was said."}', encoding="json"),
        _analysis("It was said.", encoding="json"),
        _analysis("It was said.", "summary"),
        _analysis({"text": "It was said."}, "summary"),
        {"transcript": [{"text": "It was"}, {"speaker": 1}, {"text": "said."}]},
        {"dialog": [{"type": "text", "body": "It was said.", "encoding": "none"}]},
        {
            "dialog": [
                {
                    "type": "text",
                    "body": base64.urlsafe_b64encode(b"It was said.").decode().rstrip("="),
                    "encoding": "base64url",
                }
            ]
        },
    ],
)
def test_finds_what_was_said(members: dict[str, Any]) -> None:
    assert _passages(**members) == ["It was said."]


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"dialog": [{"type": "recording", "body": "UklGRg", "encoding": "base64url"}]},
        {"dialog": [{"type": "text", "body": "_w", "encoding": "base64url"}]},
        _analysis("true", "engagement_analysis"),
        {"attachments": [{"purpose": "tags", "body": ["a:b"]}]},
        {"payload": "e30", "signatures": []},
    ],
)
def test_the_rest_has_no_text(members: dict[str, Any]) -> None:
    assert _passages(**members) == []


def test_messages_of_a_chat_share_passages_and_stay_whole() -> None:
    messages = [f"Message {number} of this chat, which goes on and on." for number in range(30)]
    found = _passages(dialog=[{"type": "text", "body": text} for text in messages])
    assert 1 < len(found) < 10
    assert " ".join(found) == " ".join(messages)
    assert all(any(message in passage for passage in found) for message in messages)


def test_sentences_stay_whole_and_long_ones_are_cut_between_words() -> None:
    long = " ".join(f"word{number}" for number in range(400)) + "."
    text = f"Short one. {long} Another! \u4f60\u597d\u3002"
    found = _passages(**_analysis(text))
    assert all(len(passage) <= 300 for passage in found)
    assert " ".join(found) == text
    assert found[0] == "Short one."
    assert "Another! \u4f60\u597d\u3002" in found[-1]


def test_what_has_no_blanks_is_cut_anyway() -> None:
    found = _passages(**_analysis("\U0001f600" * 700))
    assert [len(passage) for passage in found] == [300, 100]  # the same text counts once


def test_the_time_grows_with_the_text_and_not_faster() -> None:
    def seconds(words: int) -> float:
        started = time.process_time()
        assert len(_passages(**_analysis("a " * words))) == 2
        return time.process_time() - started

    assert seconds(4_000_000) < 9 * seconds(1_000_000)  # it was 16 times that and more


def test_a_vcon_has_3000_passages_at_most() -> None:
    found = _passages(**_analysis("".join(f"{number:0299d} " for number in range(3200))))
    assert len(found) == 3000
    assert found[-1].endswith("2999")


def _stored(*sentences: str, rev: int = 1) -> StoredVcon:
    text = "\n".join(sentence.ljust(250, ".") for sentence in sentences)
    document = {"uuid": UUID, **_analysis(text)}
    return StoredVcon(UUID, rev, json.dumps(document).encode(), 0.0)


def _rows(vcon: StoredVcon, first_id: int, model: str = "m") -> list[dict[str, Any]]:
    rows = wanted(vcon, model, LENGTHS).rows
    return [row | {"id": number} for number, row in enumerate(rows, first_id)]


def test_only_what_differs_is_written() -> None:
    there = _rows(_stored("a", "b"), 1)
    change = changes([wanted(_stored("a", "b"), "m", LENGTHS)], there, "id", again=False)
    assert (change.insert, change.remove) == ([], [])
    change = changes([wanted(_stored("a", "c", rev=2), "m", LENGTHS)], there, "id", again=False)
    assert [row["text"][0] for row in change.insert] == ["a", "c"]
    assert change.remove == [1, 2]
    assert {text[0]: key for text, key in change.known.items()} == {"a": 1}


def test_rows_that_came_twice_become_one() -> None:
    there = [*_rows(_stored("a"), 1), *_rows(_stored("a"), 2)]
    change = changes([wanted(_stored("a"), "m", LENGTHS)], there, "id", again=False)
    assert (change.insert, change.remove) == ([], [2])


def test_a_newer_revision_there_stays() -> None:
    there = _rows(_stored("a", rev=5), 1)
    for again in (False, True):
        change = changes([wanted(_stored("b", rev=4), "m", LENGTHS)], there, "id", again=again)
        assert (change.insert, change.remove) == ([], [])


def test_vectors_of_another_model_are_not_used() -> None:
    there = _rows(_stored("a"), 1, model="old")
    change = changes([wanted(_stored("a"), "m", LENGTHS)], there, "id", again=False)
    assert (len(change.insert), change.remove, change.known) == (1, [1], {})


@pytest.mark.parametrize(
    ("parties", "expected"),
    [
        ([], "no_party_info"),
        ([{}], "party_index:0"),
        ([{}, {"uuid": "u", "tel": "+1"}], "u"),
        ([{"tel": "tel:+1", "mailto": "a@b"}], "tel:+1"),
        ([{"mailto": "mailto:a@b", "name": "Ann"}], "mailto:a@b"),
        ([{"name": "Ann", "role": "agent"}], "agent:Ann"),
        ([{"role": "agent"}], "agent"),
        ([{"userId": "x7"}], "x7"),
    ],
)
def test_a_party_is_named_as_the_reference_does(parties: list[Any], expected: str) -> None:
    document = {"uuid": UUID, "subject": "x", "parties": parties}
    vcon = StoredVcon(UUID, 1, json.dumps(document).encode(), 0.0)
    assert wanted(vcon, "m", LENGTHS).rows[0]["party_id"] == expected
