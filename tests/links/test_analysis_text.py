"""Texts on their way to a model and back: where they are, how long, cut how, and answers read."""

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from vconflow.errors import Permanent, Retryable
from vconflow.links.analysis.answers import json_object, labels_of, truth, truth_of, words
from vconflow.links.analysis.results import total, vendor_of
from vconflow.links.analysis.source import source_text
from vconflow.links.analysis.splitting import split
from vconflow.links.analysis.tokens import UNKNOWN_WINDOW, estimate, window_of
from vconflow.ports.usage import Usage

DEFAULT = "body.paragraphs.transcript"

# Source


@pytest.mark.parametrize(
    ("body", "location", "text"),
    [
        ({"paragraphs": {"transcript": "A: hi"}}, DEFAULT, "A: hi"),
        ('{"paragraphs": {"transcript": "A: hi"}}', DEFAULT, "A: hi"),
        ({"transcript": "hi"}, DEFAULT, "hi"),
        ({"text": "hi", "segments": []}, DEFAULT, "hi"),
        ("hi", DEFAULT, "hi"),
        ("hi", "body", "hi"),
        ('"hi", he said', "body", '"hi", he said'),
        ("{ not json", "body", "{ not json"),
        ({"paragraphs": {"transcript": "A: hi"}, "transcript": "hi"}, "body", "A: hi"),
        ({"turns": ["a", "b"]}, "body", '{"turns": ["a", "b"]}'),
        ({"turns": ["a", {"t": "b"}]}, "body.turns.1.t", "b"),
        ({"own": {"ü": "ä"}}, "body.own", '{"ü": "ä"}'),
        ({"paragraphs": {"transcript": ""}}, DEFAULT, None),
        ({"paragraphs": {"transcript": " \n"}}, DEFAULT, None),
        ({"paragraphs": {"transcript": None}}, DEFAULT, None),
        ({"note": None}, "body.note", None),
    ],
)
def test_the_text_is_found_where_it_is(body: Any, location: str, text: str | None) -> None:
    assert source_text({"type": "transcript", "body": body}, location) == text


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"text": "secret words"}, "body.own"),
        ({"turns": ["secret words"]}, "body.turns.1"),
        ({"turns": ["secret words"]}, "body.turns.x"),
        ("secret words", "body.paragraphs"),
    ],
)
def test_a_place_that_is_not_there_is_named(body: Any, location: str) -> None:
    with pytest.raises(Permanent) as raised:
        source_text({"type": "transcript", "body": body}, location)
    assert location in str(raised.value)
    assert "text_location" in str(raised.value)
    assert "secret" not in str(raised.value)


# Tokens

CALL = (
    "Agent: Good morning, this is Anna of Northern Parcel, how can I help? Customer: Hi, booking "
    "QX-4471-B, the invoice of 12/03/2024 says $1,249.50. "
)
SPOKEN = {
    "english": "The delivery was late and I would like a refund for my order, please. ",
    "numbers": CALL,
    "german": "Die Lieferung wurde verspätet zugestellt, ich möchte mein Geld zurück. ",
    "russian": "Добрый день, чем я могу вам помочь сегодня? ",
    "chinese": "您好,请问有什么可以帮您的吗?我的订单还没有收到。",
    "japanese": "お電話ありがとうございます。ご用件をお伺いします。",
    "thai": "สวัสดีครับ มีอะไรให้ช่วยไหมครับ ",
    "hindi": "नमस्ते, मैं आपकी कैसे मदद कर सकता हूँ? ",
    "arabic": "مرحبا كيف يمكنني مساعدتك اليوم؟ ",
    "korean": "안녕하세요 무엇을 도와드릴까요 ",
    "emoji": "👍🏽😀🎉",
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """That of Llama 2: a real one, which needs no download."""
    folder = Path(str(importlib.util.find_spec("wordllama").origin)).parent  # type: ignore[union-attr]
    return Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))


@pytest.mark.parametrize("language", SPOKEN)
def test_the_estimate_is_near_a_real_tokenizer(language: str, tokenizer: Tokenizer) -> None:
    text = SPOKEN[language] * 20
    counted = len(tokenizer.encode(text, add_special_tokens=False).ids)
    assert 0.4 * estimate(text) <= counted <= 1.25 * estimate(text)


@given(st.text(), st.text())
def test_the_estimate_is_additive_and_never_beyond_the_bytes(one: str, other: str) -> None:
    both = estimate(one + other)
    assert both == pytest.approx(estimate(one) + estimate(other))
    assert both <= len((one + other).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("gpt-3.5-turbo-16k", 16_385),
        ("gpt-4", 8_192),
        ("gpt-4-0613", 8_192),
        ("gpt-4-turbo", 128_000),
        ("gpt-4.1-mini", 1_047_576),
        ("azure/gpt-4o", 128_000),
        ("openrouter/anthropic/claude-sonnet-4", 200_000),
        ("GPT-5", 272_000),
        ("in-house", UNKNOWN_WINDOW),
    ],
)
def test_windows_go_by_the_longest_known_prefix(model: str, window: int) -> None:
    assert window_of(model) == window


# Splitting

PIECES = st.sampled_from(
    ["word ", "Agent: yes.\n", "\n\n", "x" * 50, "日本語。", "é", "👍", " ", "a? "]
)


@given(st.lists(PIECES, max_size=200).map("".join), st.integers(4, 200))
@example("", 10)
@example("👍" * 40, 4)
def test_the_parts_are_the_text_and_none_is_too_long(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert "".join(parts) == text
    assert all(estimate(part) <= limit for part in parts)
    assert text == "" or all(parts)


def test_parts_are_of_about_the_same_size() -> None:
    text = "Agent: that will be all, thank you.\n" * 1000
    sizes = [estimate(part) for part in split(text, estimate(text) / 4.3)]
    assert len(sizes) == 5
    assert min(sizes) > 0.9 * max(sizes)


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("One. Two.\nThree.\n\n" * 40, "\n\n"),
        ("Agent: one. Two.\n" * 40, "\n"),
        ("One is one. Two are two. " * 40, "."),
        ("word " * 200, " "),
        ("一つです。" * 40, "。"),
    ],
)
def test_cuts_are_at_the_best_boundary_there_is(text: str, boundary: str) -> None:
    *parts, _ = split(text, estimate(text) / 5)
    assert len(parts) >= 4
    for part, after in zip(parts, split(text, estimate(text) / 5)[1:], strict=True):
        assert part.endswith(boundary) or (part[-1] + after[0]) in boundary


# Answers


@pytest.mark.parametrize(
    "answer",
    [
        '{"labels": ["a"]}',
        ' \n{"labels": ["a"]}\n',
        '```json\n{"labels": ["a"]}\n```',
        'Here you are:\n{"labels": ["a"]}\nAnything else?',
    ],
)
def test_json_is_found_in_answers(answer: str) -> None:
    assert json_object(answer) == {"labels": ["a"]}


@pytest.mark.parametrize(
    "answer",
    ["", "none", "[1]", '"text"', '{"labels": ["a"', "{labels: [a]}", "}{", '{"a":1}{"b":2}'],
)
def test_what_is_no_json_is_tried_again(answer: str) -> None:
    with pytest.raises(Retryable, match="no JSON object"):
        json_object(answer)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("true", True),
        ("True.", True),
        ("**true**", True),
        (" 'Yes' \n", True),
        ("FALSE", False),
        ("No.", False),
    ],
)
def test_truths_are_read_in_any_spelling(answer: str, expected: bool) -> None:
    assert truth(answer) is expected
    assert truth_of(f'{{"applies": "{answer.strip()}"}}', "applies") is expected


def test_truths_of_json_are_plain() -> None:
    assert truth_of('{"applies": true}', "applies") is True
    assert truth_of('{"applies": false}', "applies") is False


@pytest.mark.parametrize("answer", ["", "maybe", "true, I think", "untrue", "null"])
def test_other_words_are_no_truths(answer: str) -> None:
    with pytest.raises(Retryable, match="neither true nor false"):
        truth(answer)


@pytest.mark.parametrize("answer", ['{"applies": 1}', '{"applies": null}', '{"apply": true}'])
def test_other_values_are_no_truths(answer: str) -> None:
    with pytest.raises(Retryable, match="'applies'"):
        truth_of(answer, "applies")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["a", "b", "a"], ["a", "b"]),
        (["", "  ", " a\n b "], ["a b"]),
        ([7, "x:y", "größe", "\u0000"], ["7", "x:y", "größe", "\u0000"]),
        ([], []),
    ],
)
def test_labels_are_cleaned(labels: list[Any], expected: list[str]) -> None:
    assert labels_of({"labels": labels}) == expected


@pytest.mark.parametrize("found", [{}, {"labels": "a, b"}, {"labels": [["a"]]}, {"labels": None}])
def test_labels_of_another_form_are_tried_again(found: dict[str, Any]) -> None:
    with pytest.raises(Retryable, match="'labels'"):
        labels_of(found)


def test_empty_words_are_no_answer() -> None:
    assert words(" a ") == " a "
    with pytest.raises(Retryable):
        words(" \n")


# Results


@pytest.mark.parametrize(
    ("provider", "model", "vendor"),
    [
        ("openai", "claude-3", "openai"),
        ("azure", "gpt-4o", "azure"),
        ("litellm", "gpt-4o", "openai"),
        ("litellm", "claude-sonnet-4", "anthropic"),
        ("litellm", "vertex_ai/gemini-2.5-pro", "google"),
        ("litellm", "bedrock/claude-3", "bedrock"),
        ("litellm", "own/llama-3.1", "meta"),
        ("litellm", "in-house", "litellm"),
    ],
)
def test_the_vendor_is_the_maker_behind_a_proxy(provider: str, model: str, vendor: str) -> None:
    assert vendor_of(provider, model) == vendor


def test_usages_are_summed_and_a_cost_only_if_all_are_known() -> None:
    draw = random.Random(1)
    usages = [Usage("p", "m", draw.randrange(99), draw.randrange(99), cost=0.5) for _ in range(3)]
    sums = sum(u.input_tokens for u in usages), sum(u.output_tokens for u in usages)
    assert total(usages) == Usage("p", "m", *sums, cost=1.5)
    assert total([*usages, Usage("p", "m", 1)]).cost is None
