"""Links that ask a language model, when something goes wrong: what is kept, paid again and told."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from analysis_support import KEY, Keeping, Model, added, conversation, opened, run, transcript

from vconflow.errors import Permanent, Retryable, Unavailable
from vconflow.links.analyze import AnalyzeLink
from vconflow.links.analyze_and_label import AnalyzeAndLabelLink
from vconflow.links.analyze_vcon import AnalyzeVconLink
from vconflow.links.check_and_tag import CheckAndTagLink
from vconflow.links.detect_engagement import DetectEngagementLink
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources
from vconflow.testing.contracts.link import DOCUMENT
from vconflow.testing.providers import OpenAiServer
from vconflow.testing.providers.openai_server import failure, said
from vconflow.testing.webhook_receiver import Reply

CHECK: dict[str, Any] = {"tag_name": "t", "tag_value": "v", "evaluation_question": "Q?"}
ALL = [
    (AnalyzeLink, {}),
    (AnalyzeVconLink, {}),
    (AnalyzeAndLabelLink, {}),
    (CheckAndTagLink, CHECK),
    (DetectEngagementLink, {}),
]
WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
]


@pytest.mark.parametrize(("link_class", "options"), ALL)
async def test_a_refused_key_is_told_at_once_and_never_shown(
    link_class: Any, options: dict[str, Any], asking: Resources, openai: OpenAiServer
) -> None:
    openai.keys = {"sk-new"}
    vcon = conversation("my secret words")
    async with opened(link_class, asking, **options) as link:
        with pytest.raises(Permanent, match="openai: status 401") as raised:
            await link(vcon, run())
    assert KEY not in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(openai.calls) == 1
    assert not vcon.changed


@pytest.mark.parametrize(("link_class", "options"), ALL)
async def test_a_rate_limit_says_when_to_come_back(
    link_class: Any, options: dict[str, Any], asking: Resources, openai: OpenAiServer
) -> None:
    openai.answer(failure(429, "rate_limit_exceeded", headers={"Retry-After": "17"}))
    async with opened(link_class, asking, **options) as link:
        with pytest.raises(Retryable, match="429") as raised:
            await link(conversation("A"), run())
    assert raised.value.retry_after == 17


@pytest.mark.parametrize(
    "reply",
    [
        failure(500, "server_error"),
        failure(503, "overloaded"),
        Reply(fault="reset"),
        replace(said("half of it"), fault="cut"),
        Reply(200, {"Content-Type": "application/json"}, b'{"choices": [{'),
        Reply(200, {"Content-Type": "text/html"}, b"<html>a proxy</html>"),
    ],
    ids=["500", "503", "reset", "cut", "broken JSON", "no JSON"],
)
async def test_what_may_pass_is_tried_again(
    reply: Reply, asking: Resources, openai: OpenAiServer
) -> None:
    openai.answer(reply)
    vcon = conversation("A")
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(Retryable, match=r"dialog\[0\]: openai"):
            await link(vcon, run())
        assert not vcon.changed
        await link(vcon, run(attempt=2))
    assert added(vcon, "summary")[0]["body"] == "fine"


async def test_a_call_that_hangs_is_given_up(asking: Resources, openai: OpenAiServer) -> None:
    openai.answer(Reply(fault="hang"))
    async with opened(AnalyzeLink, asking, provider_timeout=0.2) as link:
        with pytest.raises(Retryable, match=r"dialog\[0\]"):
            await link(conversation("A"), run())
    openai.release()


@pytest.mark.parametrize(
    ("link_class", "options", "answer"),
    [
        (AnalyzeLink, {}, "  "),
        (AnalyzeVconLink, {}, "I cannot do that."),
        (AnalyzeAndLabelLink, {}, '{"labels": "billing"}'),
        (CheckAndTagLink, CHECK, '{"applies": "perhaps"}'),
        (DetectEngagementLink, {}, "Both spoke."),
    ],
)
async def test_an_answer_that_makes_no_sense_is_asked_for_again(
    link_class: Any,
    options: dict[str, Any],
    answer: str,
    asking: Resources,
    openai: OpenAiServer,
    model: Model,
) -> None:
    model.answer = lambda prompt: answer
    vcon = conversation("A")
    async with opened(link_class, asking, **options) as link:
        for attempt in (1, 2):
            with pytest.raises(Retryable, match="the model") as raised:
                await link(vcon, run(attempt=attempt))
    assert answer.strip() == "" or answer not in str(raised.value)
    assert openai.counts() == {"chat": 2}
    assert not vcon.changed


async def test_a_model_that_is_not_there_is_told(asking: Resources, openai: OpenAiServer) -> None:
    openai.models = {"gpt-4o"}
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(Permanent, match=r"404 \(model_not_found\)"):
            await link(conversation("A"), run())


async def test_an_answer_that_was_cut_short_is_none(
    asking: Resources, openai: OpenAiServer
) -> None:
    openai.answer(said("The customer wan", finish_reason="length"))
    vcon = conversation("A")
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(Permanent, match="cut short"):
            await link(vcon, run())
    assert not vcon.changed


@pytest.mark.parametrize(("link_class", "options"), ALL)
async def test_a_signed_vcon_costs_nothing(
    link_class: Any,
    options: dict[str, Any],
    asking: Resources,
    openai: OpenAiServer,
    shared_data: Path,
) -> None:
    signed = json.loads((shared_data / "ietf" / "ab_call_ext_rec_signed.vcon").read_bytes())
    # Beside what was signed anything may stand.
    signed |= {"dialog": [{}], "analysis": [transcript(0, "hello")]}
    async with opened(link_class, asking, **options) as link:
        with pytest.raises(Permanent, match="signed"):
            await link(Vcon(json.dumps(signed).encode()), run())
    assert not openai.calls


async def test_a_place_without_text_names_dialog_and_option(asking: Resources) -> None:
    vcon = conversation("A")
    async with opened(AnalyzeLink, asking, source={"text_location": "body.no.such"}) as link:
        with pytest.raises(Permanent, match=r"dialog\[0\]: its transcript .* body\.no\.such"):
            await link(vcon, run())


# Several dialogs


async def test_each_result_is_kept_before_the_next_is_written(asking: Resources) -> None:
    vcon = conversation(*WORDS)
    keeping = Keeping(vcon)
    async with opened(AnalyzeLink, asking) as link:
        await link(vcon, keeping.run())
    assert keeping.kept == [len(WORDS) + n for n in range(1, len(WORDS) + 1)]


async def test_the_whole_vcon_is_kept_once(asking: Resources, model: Model) -> None:
    model.answer = lambda prompt: "{}"
    vcon = Vcon(DOCUMENT)
    keeping = Keeping(vcon)
    async with opened(AnalyzeVconLink, asking) as link:
        await link(vcon, keeping.run())
        await link(vcon, keeping.run(attempt=2))
    assert keeping.kept == [1]


async def test_what_went_well_is_kept_when_a_dialog_fails(
    asking: Resources, openai: OpenAiServer, model: Model
) -> None:
    model.fault = lambda prompt: failure(500, "x") if "charlie" in prompt else None
    vcon = conversation(*WORDS)
    keeping = Keeping(vcon)
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(Retryable) as raised:
            await link(vcon, keeping.run())
        assert re.findall(r"dialog\[\d+\]", str(raised.value)) == ["dialog[2]"]
        assert len(keeping.kept) == len(WORDS) - 1
        model.fault = lambda prompt: None
        await link(Vcon(vcon.to_bytes()), keeping.run(attempt=2))
    asked = [word for word in WORDS for call in openai.calls if word in call.prompt]
    assert sorted(asked) == sorted([*WORDS, "charlie"])


async def test_failures_of_both_kinds_are_tried_again_after_the_longest_wait(
    asking: Resources, model: Model
) -> None:
    def fault(prompt: str) -> Reply | None:
        for word, wait in (("alpha", "3"), ("bravo", "9")):
            if word in prompt:
                return failure(429, "slow", headers={"Retry-After": wait})
        return failure(400, "bad") if "charlie" in prompt else None

    model.fault = fault
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(Retryable) as raised:
            await link(conversation(*WORDS), run())
    assert raised.value.retry_after == 9
    assert all(f"dialog[{index}]" in str(raised.value) for index in range(3))
    assert "dialog[3]" not in str(raised.value)


async def test_a_vcon_that_is_not_ours_any_more_ends_the_link(asking: Resources) -> None:
    vcon = conversation("A", "B")
    keeping = Keeping(vcon, failure=Unavailable("the vCon was deleted"))
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(Unavailable, match=r"^the vCon was deleted"):
            await link(vcon, keeping.run())


async def test_dialogs_are_asked_about_together_but_not_all_at_once(
    asking: Resources, openai: OpenAiServer
) -> None:
    openai.seconds, openai.together = 0.1, 3
    async with opened(AnalyzeLink, asking, concurrency=3) as link:
        await link(conversation(*WORDS * 2), run())
    assert openai.most_at_once == 3
    assert len(openai.calls) == len(WORDS) * 2


async def test_several_vcons_make_no_more_calls_than_the_account_may_have(
    asking: Resources, openai: OpenAiServer
) -> None:
    openai.seconds, openai.together = 0.05, 2
    async with opened(AnalyzeLink, asking, provider_concurrency=2) as link:
        await asyncio.gather(*(link(conversation("A", "B"), run()) for _ in range(4)))
    assert (len(openai.calls), openai.most_at_once) == (8, 2)


async def test_a_link_that_is_cancelled_leaves_no_call_behind(
    asking: Resources, openai: OpenAiServer
) -> None:
    openai.answer(*[Reply(fault="hang")] * 3)
    before = asyncio.all_tasks()
    async with opened(AnalyzeLink, asking) as link:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link(conversation("A", "B", "C"), run()), 0.3)
        assert asyncio.all_tasks() <= before | {asyncio.current_task()}
    openai.release()
