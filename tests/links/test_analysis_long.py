"""Transcripts that are longer than the model takes."""

import re
from typing import Any

import pytest
from analysis_support import Keeping, Model, added, conversation, opened, run

from vconflow.errors import Permanent, Retryable
from vconflow.links.analyze import AnalyzeLink
from vconflow.links.analyze_and_label import AnalyzeAndLabelLink
from vconflow.links.analyze_vcon import AnalyzeVconLink
from vconflow.links.check_and_tag import CheckAndTagLink
from vconflow.links.detect_engagement import DetectEngagementLink
from vconflow.ports.component import Resources
from vconflow.testing.providers import OpenAiServer
from vconflow.testing.providers.openai_server import failure
from vconflow.testing.providers.server import json_reply

WORDS = 50_000
PER_TURN = 20


def turns(words: int) -> str:
    """A conversation in which every word is another one."""
    said = [f"w{n:05d}" for n in range(words)]
    lines = [" ".join(said[start : start + PER_TURN]) for start in range(0, words, PER_TURN)]
    return "".join(f"{('Customer', 'Agent')[n % 2]}: {line}.\n" for n, line in enumerate(lines))


LONG = turns(WORDS)


def first_and_last(prompt: str) -> str:
    """A summary: the span of words that it is about."""
    found = re.findall(r"w\d{5}", prompt)
    return f"from {found[0]} to {found[-1]}" if found else "of nothing"


def seen(openai: OpenAiServer) -> list[str]:
    """The words of the parts that were asked about, without those of merges."""
    parts = [
        call.prompt for call in openai.calls if "What follows is your answers" not in call.prompt
    ]
    # Parts are asked about at the same time: in the order of their words.
    spans = [re.findall(r"w\d{5}", part) for part in parts]
    return [word for span in sorted(spans) for word in span]


EVERY_WORD = [f"w{n:05d}" for n in range(WORDS)]


async def test_a_long_transcript_is_asked_about_in_parts_and_merged(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    openai.context_tokens = 16_385
    model.answer = first_and_last
    vcon = conversation(LONG)
    keeping = Keeping(vcon)
    async with opened(AnalyzeLink, asking, prompt="Sum up.") as link:
        await link(vcon, keeping.run())
    assert seen(openai) == EVERY_WORD
    *parts, merge = openai.calls
    assert 8 <= len(parts) <= 16
    assert all(call.prompt.startswith("You are a helpful assistant.\nSum up.") for call in parts)
    # Cut between speakers: each part begins with one.
    assert all(re.search(r"\n\nPart \d+:\n(Agent|Customer): ", call.prompt) for call in parts)
    assert re.search(
        rf"about {len(parts)} successive parts.*Part {len(parts)}:\nfrom", merge.prompt, re.S
    )
    found = added(vcon, "summary")[0]
    assert found["body"] == f"from {EVERY_WORD[0]} to {EVERY_WORD[-1]}"
    assert found["usage"]["calls"] == len(parts) + 1
    assert found["usage"]["input_tokens"] > len(LONG) / 4
    assert keeping.kept == [2]


async def test_parts_are_asked_about_together(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    openai.seconds, openai.together = 0.1, 8
    model.answer = first_and_last
    async with opened(AnalyzeLink, asking) as link:
        await link(conversation(LONG, LONG), run())
    assert openai.most_at_once == 8


async def test_a_model_that_takes_less_than_thought_gets_halves(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    openai.context_tokens = 4_000
    model.answer = first_and_last
    text = turns(4_000)
    vcon = conversation(text)
    async with opened(AnalyzeLink, asking, context_tokens=16_000) as link:
        await link(vcon, run())
    accepted = [call for call in openai.calls if len(call.prompt) / 4 <= 4_000]
    refused = len(openai.calls) - len(accepted)
    assert refused >= 1
    found = added(vcon, "summary")[0]
    assert found["body"] == "from w00000 to w03999"
    assert found["usage"]["calls"] == len(accepted)
    words = [word for call in accepted[:-1] for word in re.findall(r"w\d{5}", call.prompt)]
    assert sorted(words) == EVERY_WORD[:4_000]


TOO_LONG = {
    "OpenAI": (
        400,
        {
            "message": "This model's maximum context length is 8192 tokens. However, your messages "
            "resulted in 10234 tokens. Please reduce the length of the messages.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        },
    ),
    "vLLM": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 6048 tokens. However, you requested "
            "6616 tokens (568 in the messages, 6048 in the completion).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "llama.cpp": (
        400,
        {
            "message": "request (4390 tokens) exceeds the available context size (4096 tokens), "
            "try increasing it",
            "type": "exceed_context_size_error",
            "code": 400,
        },
    ),
    "llama.cpp, when it is full": (
        500,
        {"message": "Context size has been exceeded.", "type": "server_error", "code": 500},
    ),
    "LiteLLM": (
        400,
        {
            "message": "litellm.ContextWindowExceededError: litellm.BadRequestError: too much",
            "type": None,
            "param": None,
            "code": "400",
        },
    ),
}


@pytest.mark.parametrize("provider", TOO_LONG)
async def test_every_server_s_way_to_say_too_long_is_known(
    provider: str, asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    status, error = TOO_LONG[provider]
    refusal = json_reply(error if "object" in error else {"error": error}, status)
    model.answer = first_and_last
    model.fault = lambda prompt: refusal if len(prompt) > 10_000 else None
    vcon = conversation(turns(2_000))
    async with opened(AnalyzeLink, asking) as link:
        await link(vcon, run())
    assert added(vcon, "summary")[0]["body"] == "from w00000 to w01999"
    assert len(openai.calls) == 4  # the whole, two halves, and the merge


@pytest.mark.parametrize(
    "message", ["Unsupported value: 'temperature' in this context.", "maximum tokens is invalid"]
)
async def test_other_refusals_are_not_taken_for_that(
    message: str, asking: Resources, openai: OpenAiServer
) -> None:
    openai.answer(json_reply({"error": {"message": message, "code": "invalid_value"}}, 400))
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(Permanent, match=r"status 400 \(invalid_value\)"):
            await link(conversation(turns(2_000)), run())
    assert len(openai.calls) == 1


async def test_answers_that_are_long_together_are_merged_in_steps(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    def half(prompt: str) -> str:
        found = re.findall(r"w\d{5}", prompt)
        return " ".join(found[::4])

    model.answer = half
    openai.context_tokens = 3_000
    vcon = conversation(turns(10_000))
    async with opened(AnalyzeLink, asking, context_tokens=3_000) as link:
        await link(vcon, run())
    merges = [call for call in openai.calls if "What follows is your answers" in call.prompt]
    assert len(merges) >= 2
    assert added(vcon, "summary")[0]["body"].startswith("w00000 ")


async def test_answers_that_never_become_shorter_are_given_up(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    model.answer = lambda prompt: " ".join(re.findall(r"w\d{5}", prompt)) or "w00000"
    vcon = conversation(turns(2_000))
    async with opened(AnalyzeLink, asking, context_tokens=2_000) as link:
        with pytest.raises(Permanent, match="do not become shorter"):
            await link(vcon, run())
    assert not vcon.changed


async def test_after_a_failure_only_what_is_missing_is_asked_again(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    model.answer = first_and_last
    failing = "w25000"
    model.fault = lambda prompt: failure(503, "busy") if failing in prompt else None
    vcon = conversation(LONG)
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(
            Retryable, match=r"dialog\[0\]: 1 of \d+ parts failed: openai: status 503"
        ):
            await link(vcon, run())
        parts = len(openai.calls)
        model.fault = lambda prompt: None
        await link(vcon, run(attempt=2))
        assert len(openai.calls) == parts + 2  # the part, and the merge
        # Another vCon of the same words has not paid for them.
        await link(conversation(LONG), run("6-1"))
        assert len(openai.calls) == 2 * parts + 3
    assert added(vcon, "summary")[0]["usage"]["calls"] == parts + 1


@pytest.mark.parametrize(
    ("link_class", "options", "answer", "type", "body", "tags"),
    [
        (
            AnalyzeAndLabelLink,
            {"label_tag": ""},
            lambda p: '{"labels": ["talk"%s]}' % (', "late"' if "w49999" in p else ""),
            "labeled_analysis",
            '{"labels":["talk","late"]}',
            ["talk:talk", "late:late"],
        ),
        (
            CheckAndTagLink,
            {"tag_name": "t", "tag_value": "v", "evaluation_question": "Late?"},
            lambda p: '{"applies": %s}' % ("true" if "w49999" in p else "false"),
            "tag_evaluation",
            {"link_name": "asks", "tag": "t:v", "applies": True},
            ["t:v"],
        ),
        (
            DetectEngagementLink,
            {"model": "gpt-3.5-turbo"},
            lambda p: "true" if "w00000" in p else "false",
            "engagement_analysis",
            "true",
            ["engagement:true"],
        ),
    ],
)
async def test_answers_in_a_form_are_united_without_another_call(
    link_class: Any,
    options: dict[str, Any],
    answer: Any,
    type: str,
    body: Any,
    tags: list[str],
    asking: Resources,
    openai: OpenAiServer,
    model: Model,
) -> None:
    model.answer = answer
    vcon = conversation(LONG)
    async with opened(link_class, asking, context_tokens=16_385, **options) as link:
        await link(vcon, run())
    found = added(vcon, type)[0]
    assert found["body"] == body
    assert vcon.tags == tags
    assert found["usage"]["calls"] == len(openai.calls) > 8
    assert seen(openai) == EVERY_WORD


async def test_json_about_a_long_vcon_is_refused_with_advice(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    model.answer = lambda prompt: "{}"
    openai.context_tokens = 16_385
    text = turns(12_000)
    dialog = {"type": "text", "start": "2024-03-14T09:26:53Z", "parties": [0], "body": text}
    vcon = conversation(dialog=[dialog | {"encoding": "none", "mediatype": "text/plain"}])
    async with opened(AnalyzeVconLink, asking, remove_body_properties=False) as link:
        with pytest.raises(Permanent, match=r"gpt-3.5-turbo-16k.*try remove_body_properties.*diet"):
            await link(vcon, run())
    assert len(openai.calls) == 1
    async with opened(AnalyzeVconLink, asking) as link:
        await link(vcon, run())
    assert added(vcon, "json_analysis")


async def test_json_about_a_much_too_long_vcon_is_not_even_sent(
    asking: Resources, openai: OpenAiServer
) -> None:
    vcon = conversation(LONG)
    async with opened(AnalyzeVconLink, asking) as link:
        with pytest.raises(Permanent, match="try a model that takes more") as raised:
            await link(vcon, run())
    assert "remove_body_properties" not in str(raised.value)
    assert not openai.calls


async def test_a_prompt_that_fills_the_window_is_told(asking: Resources) -> None:
    async with opened(AnalyzeLink, asking, prompt="why? " * 1000, context_tokens=1000) as link:
        with pytest.raises(Permanent, match=r"leaves no room.*context_tokens"):
            await link(conversation("A"), run())


async def test_a_short_text_that_is_refused_as_too_long_is_told(
    asking: Resources, openai: OpenAiServer
) -> None:
    openai.context_tokens = 1
    vcon = conversation("A short one.")
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(Permanent, match="context_length_exceeded"):
            await link(vcon, run())
    assert len(openai.calls) == 1
    assert not vcon.changed
