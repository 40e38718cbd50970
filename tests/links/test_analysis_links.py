"""The links that ask a language model: the contract, what they send, and what they write.

The official client talks to a server on loopback that speaks OpenAI's API.
"""

from typing import Any, ClassVar

import msgspec
import pytest
from analysis_support import Model, added, conversation, opened, run, transcript

from vconflow.errors import Permanent
from vconflow.links.analyze import AnalyzeLink
from vconflow.links.analyze_and_label import AnalyzeAndLabelLink
from vconflow.links.analyze_vcon import AnalyzeVconLink
from vconflow.links.check_and_tag import CheckAndTagLink
from vconflow.links.detect_engagement import DetectEngagementLink
from vconflow.links.filters import OnlyIf
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources
from vconflow.ports.link import CONTINUE
from vconflow.testing.contracts import LinkContract
from vconflow.testing.contracts.link import DOCUMENT
from vconflow.testing.providers import OpenAiServer

CHECK: dict[str, Any] = {
    "tag_name": "complaint",
    "tag_value": "yes",
    "evaluation_question": "Does the customer complain?",
}


class AnalysisContract(LinkContract):
    """On a vCon with a transcript, asked of a model that always says the same."""

    changes = frozenset({"analysis", "attachments"})
    answer: ClassVar[str]

    @pytest.fixture
    def document(self) -> bytes:
        item = msgspec.json.encode([transcript(0, "Agent: hello")])
        return DOCUMENT.replace(b'"analysis":[]', b'"analysis":' + item)

    @pytest.fixture
    def resources(self, asking: Resources, model: Model) -> Resources:
        model.answer = lambda prompt: self.answer
        return asking

    async def test_it_really_asks(
        self, link: Any, document: bytes, openai: OpenAiServer, resources: Resources
    ) -> None:
        vcon = Vcon(document)
        await link(vcon, run())
        assert vcon.changed
        await link(vcon, run(attempt=2))
        assert openai.counts() == {"chat": 1}


class TestAnalyzeContract(AnalysisContract):
    link_class = AnalyzeLink
    changes = frozenset({"analysis"})
    answer = "A greeting."


class TestAnalyzeVconContract(AnalysisContract):
    link_class = AnalyzeVconLink
    changes = frozenset({"analysis"})
    answer = '{"mood": "calm"}'


class TestAnalyzeAndLabelContract(AnalysisContract):
    link_class = AnalyzeAndLabelLink
    answer = '{"labels": ["greeting"]}'


class TestCheckAndTagContract(AnalysisContract):
    link_class = CheckAndTagLink
    link_options: ClassVar = CHECK
    answer = '{"applies": true}'


class TestDetectEngagementContract(AnalysisContract):
    link_class = DetectEngagementLink
    answer = "true"


# What is asked


async def asked(
    link_class: Any, asking: Resources, openai: OpenAiServer, vcon: Vcon, **options: Any
) -> dict[str, Any]:
    """Run the link and return the one request that it made."""
    async with opened(link_class, asking, **options) as link:
        assert await link(vcon, run()) == CONTINUE
    (call,) = openai.calls
    return {"model": call.model} | {
        name: call.options.get(name) for name in ("messages", "temperature", "response_format")
    }


async def test_analyze_asks_as_the_reference_does(asking: Resources, openai: OpenAiServer) -> None:
    request = await asked(
        AnalyzeLink, asking, openai, conversation("Agent: hi"), prompt="Summarize."
    )
    assert request == {
        "model": "gpt-3.5-turbo-16k",
        "temperature": 0,
        "response_format": None,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Summarize.\n\nAgent: hi"},
        ],
    }


async def test_labels_are_asked_for_as_json(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    model.answer = lambda prompt: '{"labels": []}'
    request = await asked(AnalyzeAndLabelLink, asking, openai, conversation("Agent: hi"))
    assert (request["model"], request["temperature"]) == ("gpt-4-turbo", 0.2)
    assert request["response_format"] == {"type": "json_object"}
    assert "JSON object with a single key 'labels'" in request["messages"][1]["content"]
    assert request["messages"][1]["content"].endswith("\n\nAgent: hi")


async def test_a_schema_for_answers_is_passed_on(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    model.answer = lambda prompt: '{"applies": false}'
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    request = await asked(
        CheckAndTagLink, asking, openai, conversation("hi"), **CHECK, response_format=schema
    )
    assert request["response_format"] == schema
    assert (request["model"], request["temperature"]) == ("gpt-5", None)
    assert request["messages"][1]["content"].startswith(
        "Question: Does the customer complain?\n\nText to evaluate:\nhi\n\nPlease answer with"
    )


async def test_engagement_is_asked_without_a_system_prompt(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    model.answer = lambda prompt: "true"
    request = await asked(DetectEngagementLink, asking, openai, conversation("A: hi\nB: hi"))
    (message,) = request["messages"]
    assert message["content"].startswith("Did both the customer and the agent speak?")
    assert message["content"].endswith("\n\nTranscript: A: hi\nB: hi")
    assert (request["model"], request["temperature"]) == ("gpt-4.1", 0.2)


@pytest.mark.parametrize("removed", [True, False])
async def test_the_whole_vcon_is_sent_with_or_without_bodies(
    asking: Resources, openai: OpenAiServer, model: Model, removed: bool
) -> None:
    model.answer = lambda prompt: "{}"
    vcon = Vcon(DOCUMENT)
    request = await asked(
        AnalyzeVconLink, asking, openai, vcon, prompt="P", remove_body_properties=removed
    )
    prompt, _, sent = request["messages"][1]["content"].partition("\n\n")
    expected = msgspec.json.decode(DOCUMENT)
    if removed:
        del expected["dialog"][0]["body"]
    assert prompt == "P"
    assert msgspec.json.decode(sent) == expected
    assert '"n":1.10' in sent


async def test_options_name_another_account_and_model(
    asking: Resources, openai: OpenAiServer
) -> None:
    other = {"base_url": openai.base_url, "api_key": "sk-other", "model": "own", "temperature": 1}
    openai.keys = {"sk-other"}
    vcon = conversation("hi")
    given = msgspec.convert(
        {k: v for k, v in other.items() if k != "api_key"}, AnalyzeLink.options, strict=False
    )
    secret = msgspec.structs.replace(given, openai_api_key=_secret("sk-other"))
    async with AnalyzeLink.open(secret, asking) as link:  # type: ignore[arg-type]
        await link(vcon, run())
    assert [(call.key, call.model) for call in openai.calls] == [("sk-other", "own")]
    assert added(vcon, "summary")[0]["vendor_schema"]["model"] == "own"


def _secret(value: str) -> Any:
    from vconflow.ports.component import Secret

    return Secret(value)


# What is written


async def test_analyze_writes_what_the_reference_does(asking: Resources, model: Model) -> None:
    model.answer = lambda prompt: f"About {prompt[-1]}."
    vcon = conversation("A", None, "C")
    async with opened(AnalyzeLink, asking, prompt="Sum up.", model="gpt-4o") as link:
        await link(vcon, run())
    summaries = added(vcon, "summary")
    assert {dialog: item["body"] for dialog, item in summaries.items()} == {
        0: "About A.",
        2: "About C.",
    }
    usage = summaries[0].pop("usage")
    assert summaries[0] == {
        "type": "summary",
        "dialog": 0,
        "vendor": "openai",
        "vendor_schema": {"model": "gpt-4o", "prompt": "Sum up."},
        "body": "About A.",
        "encoding": "none",
    }
    assert (usage["provider"], usage["model"]) == ("openai", "gpt-4o")
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert usage["cost"] > 0
    assert "calls" not in usage


async def test_analyze_vcon_writes_json_of_the_first_dialog(
    asking: Resources, model: Model
) -> None:
    model.answer = lambda prompt: '```json\n{"mood": "calm", "n": [1]}\n```'
    vcon = conversation("A", "B", version="0.4.0")
    async with opened(AnalyzeVconLink, asking, prompt="P", system_prompt="S") as link:
        await link(vcon, run())
    found = added(vcon, "json_analysis")[0]
    assert (found["body"], found["encoding"]) == ({"mood": "calm", "n": [1]}, "json")
    assert found["vendor_schema"] == {
        "model": "gpt-3.5-turbo-16k",
        "prompt": "P",
        "system_prompt": "S",
    }


async def test_analyze_vcon_of_no_dialog_points_at_none(asking: Resources, model: Model) -> None:
    model.answer = lambda prompt: "{}"
    vcon = conversation()
    async with opened(AnalyzeVconLink, asking) as link:
        await link(vcon, run())
    assert list(added(vcon, "json_analysis")) == [None]


@pytest.mark.parametrize(("version", "as_text"), [("0.0.1", True), ("0.4.0", False)])
async def test_labels_become_tags_once(
    asking: Resources, model: Model, version: str, as_text: bool
) -> None:
    model.answer = lambda prompt: (
        '{"labels": ["billing", "größe: XL", "", " late  delivery "], "x": 1}'
    )
    vcon = conversation("A", "B", version=version)
    vcon.add_tag("billing", "billing")
    async with opened(AnalyzeAndLabelLink, asking) as link:
        await link(vcon, run())
    body = added(vcon, "labeled_analysis")[1]["body"]
    decoded = msgspec.json.decode(body) if as_text else body
    assert decoded == {"labels": ["billing", "größe: XL", "", " late  delivery "], "x": 1}
    assert added(vcon, "labeled_analysis")[1]["encoding"] == "json"
    assert vcon.tags == [
        "billing:billing",
        "label:billing",
        "größe: XL:größe: XL",
        "label:größe: XL",
        "late delivery:late delivery",
        "label:late delivery",
    ]


async def test_labels_can_be_tags_as_in_the_reference_only(asking: Resources, model: Model) -> None:
    model.answer = lambda prompt: '{"labels": ["billing"]}'
    vcon = conversation("A")
    async with opened(AnalyzeAndLabelLink, asking, label_tag="") as link:
        await link(vcon, run())
    assert vcon.tags == ["billing:billing"]


@pytest.mark.parametrize("applies", [True, False])
async def test_check_and_tag_tags_on_yes(asking: Resources, model: Model, applies: bool) -> None:
    model.answer = lambda prompt: msgspec.json.encode({"applies": applies}).decode()
    vcon = conversation("A")
    async with opened(CheckAndTagLink, asking, **CHECK) as link:
        await link(vcon, run(link="check"))
    found = added(vcon, "tag_evaluation")[0]
    assert found["body"] == {"link_name": "check", "tag": "complaint:yes", "applies": applies}
    assert found["vendor_schema"] == {
        "model": "gpt-5",
        "evaluation_question": "Does the customer complain?",
    }
    assert vcon.tags == (["complaint:yes"] if applies else [])


async def test_several_checks_of_one_chain_do_not_hide_each_other(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    model.answer = lambda prompt: '{"applies": true}'
    vcon = conversation("A")
    for _ in range(2):
        for name in ("complaint", "praise"):
            async with opened(CheckAndTagLink, asking, **CHECK | {"tag_name": name}) as link:
                await link(vcon, run(link=name))
    assert openai.counts() == {"chat": 2}
    assert vcon.tags == ["complaint:yes", "praise:yes"]


@pytest.mark.parametrize(("answer", "body"), [("True.", "true"), ("no", "false")])
async def test_engagement_is_a_word_and_a_tag(
    asking: Resources, model: Model, answer: str, body: str
) -> None:
    model.answer = lambda prompt: answer
    vcon = conversation("A")
    async with opened(DetectEngagementLink, asking) as link:
        await link(vcon, run())
    found = added(vcon, "engagement_analysis")[0]
    assert (found["body"], found["encoding"]) == (body, "none")
    assert found["vendor_schema"]["is_engaged"] == body
    assert vcon.tags == [f"engagement:{body}"]


async def test_tokens_are_reported_to_the_portal_once(
    asking: Resources, openai: OpenAiServer
) -> None:
    portal = {"send_ai_usage_data_to_url": "https://portal.example/usage"}
    vcon = conversation("A")
    async with opened(AnalyzeLink, asking, **portal) as link:
        await link(vcon, run())
        await link(vcon, run(attempt=2))
    (post,) = asking.http.posts  # type: ignore[attr-defined]
    report = msgspec.json.decode(post.content)
    usage = added(vcon, "summary")[0]["usage"]
    assert report.pop("created_at").startswith("2023-11-14T22:13:20")
    assert report == {
        "record_id": vcon.uuid,
        "type": "VCON_PROCESSING",
        "sub_type": "ANALYZE",
        "unit_type": "tokens",
        "input_units": usage["input_tokens"],
        "output_units": usage["output_tokens"],
        "ai_model": "gpt-3.5-turbo-16k",
    }


async def test_a_portal_that_is_down_fails_nothing(asking: Resources, openai: OpenAiServer) -> None:
    url = "https://portal.example/usage"
    asking.http.errors[url] = Permanent("gone")  # type: ignore[attr-defined]
    vcon = conversation("A")
    async with opened(AnalyzeLink, asking, send_ai_usage_data_to_url=url) as link:
        assert await link(vcon, run()) == CONTINUE
    assert added(vcon, "summary")


# What is skipped


TAGS = {"section": "attachments", "type": "tags", "includes": "category:1"}


@pytest.mark.parametrize(
    ("only_if", "members", "included"),
    [
        ({}, {}, True),
        (TAGS, {}, False),
        (TAGS, {"attachments": [{"type": "tags", "body": ["category:1"]}]}, True),
        (TAGS, {"attachments": [{"purpose": "tags", "body": '["category:1"]'}]}, True),
        (TAGS, {"attachments": [{"purpose": "tags", "body": {"category": "1"}}]}, True),
        (TAGS, {"attachments": [{"type": "tags", "body": ["category:12"]}]}, False),
        (TAGS, {"attachments": [{"type": "note", "body": "category:1"}]}, False),
        (
            {"section": "attachments", "purpose": "note", "includes": "or"},
            {"attachments": [{"type": "note", "body": "words"}]},
            True,
        ),
        (
            {"section": "analysis", "type": "mood", "includes": '"mood": "ärger"'},
            {"analysis": [{"type": "mood", "vendor": "v", "body": {"mood": "ärger"}}]},
            True,
        ),
        (
            {"section": "analysis", "type": "mood", "includes": "calm"},
            {"analysis": [{"type": "mood", "vendor": "v"}, {"purpose": "mood", "body": "calm"}]},
            False,
        ),
    ],
)
def test_only_if(only_if: dict[str, Any], members: dict[str, Any], included: bool) -> None:
    assert msgspec.convert(only_if, OnlyIf)(conversation(**members)) is included


@pytest.mark.parametrize("left_out", ["section", "type", "includes"])
def test_half_an_only_if_is_an_error(left_out: str) -> None:
    given = {name: value for name, value in TAGS.items() if name != left_out}
    with pytest.raises(msgspec.ValidationError, match=r"needs section.*only_if"):
        msgspec.convert({"only_if": given}, AnalyzeLink.options)


@pytest.mark.parametrize(
    "link_class", [AnalyzeLink, AnalyzeVconLink, AnalyzeAndLabelLink, DetectEngagementLink]
)
async def test_what_is_not_meant_is_not_asked_about(
    link_class: Any, asking: Resources, openai: OpenAiServer
) -> None:
    vcon = conversation("A")
    for options in ({"only_if": TAGS}, {"sampling_rate": 0}):
        async with opened(link_class, asking, **options) as link:
            assert await link(vcon, run()) == CONTINUE
    assert not openai.calls
    assert not vcon.changed


async def test_a_sample_is_of_the_size_and_the_same_at_every_attempt(asking: Resources) -> None:
    taken = {}
    async with opened(AnalyzeLink, asking, sampling_rate=0.25) as link:
        for entry in range(100):
            for attempt in (1, 2):
                vcon = conversation("A")
                await link(vcon, run(f"{entry}-0", attempt=attempt))
                taken[entry, attempt] = vcon.changed
    assert all(taken[entry, 1] == taken[entry, 2] for entry in range(100))
    assert 10 <= sum(taken[entry, 1] for entry in range(100)) <= 40


async def test_dialogs_without_a_text_are_skipped(asking: Resources, openai: OpenAiServer) -> None:
    vcon = conversation(None, "", "  ")
    async with opened(AnalyzeLink, asking) as link:
        assert await link(vcon, run()) == CONTINUE
    assert not openai.calls
    assert not vcon.changed


async def test_a_transcript_of_several_dialogs_is_of_each(asking: Resources) -> None:
    vcon = conversation(None, None, analysis=[transcript(0, "both") | {"dialog": [0, 1]}])
    async with opened(AnalyzeLink, asking) as link:
        await link(vcon, run())
    assert set(added(vcon, "summary")) == {0, 1}


async def test_an_analysis_of_the_type_is_not_made_again_whoever_made_it(
    asking: Resources, openai: OpenAiServer
) -> None:
    vcon = conversation("A")
    vcon.add_analysis(type="summary", dialog=0, vendor="azure", body="there")
    vcon.add_analysis(type="json_analysis", dialog=0, vendor="azure", body={})
    for link_class in (AnalyzeLink, AnalyzeVconLink):
        async with opened(link_class, asking) as link:
            await link(vcon, run())
    assert not openai.calls


async def test_another_analysis_can_be_the_source(asking: Resources, openai: OpenAiServer) -> None:
    vcon = conversation("A")
    vcon.add_analysis(type="notes", dialog=0, vendor="v", body={"turns": [{"text": "hello"}]})
    source = {"analysis_type": "notes", "text_location": "body.turns.0.text"}
    await asked(AnalyzeLink, asking, openai, vcon, source=source)
    assert openai.calls[0].prompt.endswith("\n\nhello")
