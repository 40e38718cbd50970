"""The link `post_analysis_to_slack`, by the official client against a loopback server."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from slack_double import TOKEN, SlackDouble, answer, slack_double
from vconflow.config import check
from vconflow.errors import ConfigError, Permanent, Retryable, Throttled
from vconflow.links.post_analysis_to_slack import SlackLink, SlackOptions
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources, Secret
from vconflow.ports.link import CONTINUE, Link, LinkRun
from vconflow.testing.contracts import LinkContract, resources_for
from vconflow.testing.servers import free_port
from vconflow.testing.webhook_receiver import Reply


class TestSlackContract(LinkContract):
    link_class = SlackLink
    link_options: ClassVar[dict[str, Any]] = {
        "token": Secret("xoxb"),
        "default_channel_name": "alerts",
    }
    needs = frozenset({"token", "default_channel_name"})


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return resources_for(tmp_path)


@pytest.fixture
def slack() -> Iterator[SlackDouble]:
    with slack_double() as double:
        yield double


@asynccontextmanager
async def opened(slack: SlackDouble, resources: Resources, **options: Any) -> AsyncIterator[Link]:
    raw = {"token": TOKEN, "default_channel_name": "alerts", "base_url": slack.base_url}
    given = msgspec.convert(
        raw | options, SlackOptions, strict=False, dec_hook=lambda kind, value: kind(value)
    )
    async with SlackLink.open(given, resources) as link:
        yield link


class KeepingRun(LinkRun):
    """Notes what the vCon was each time it was kept."""

    def __init__(self, vcon: Vcon) -> None:
        super().__init__(link="l", chain="c", list="in", entry="5-1")
        self.vcon = vcon
        self.kept: list[bytes] = []

    async def keep(self) -> None:
        self.kept.append(self.vcon.to_bytes())


def analysis(type: str, body: Any, dialog: Any = 0, **members: Any) -> dict[str, Any]:
    encoding = "none" if isinstance(body, str) else "json"
    return {"type": type, "dialog": dialog, "vendor": "v", "body": body, "encoding": encoding} | (
        members
    )


REVIEW = analysis("customer_frustration", "NEEDS REVIEW: shouting")
SUMMARY = analysis("summary", "They talked.")


def vcon_with(*analyses: dict[str, Any], attachments: list[dict[str, Any]] | None = None) -> Vcon:
    document = {
        "vcon": "0.0.1",
        "uuid": new_uuid("slack"),
        "created_at": "2024-03-14T09:26:53Z",
        "parties": [],
        "dialog": [],
        "analysis": list(analyses),
        "attachments": attachments or [],
    }
    return Vcon(msgspec.json.encode(document))


def dealer(body: Any, name: str = "purpose") -> list[dict[str, Any]]:
    return [{name: "strolid_dealer", "body": body, "encoding": "json"}]


async def test_posts_as_the_reference_does_and_only_once(
    slack: SlackDouble, resources: Resources
) -> None:
    assert SlackLink.paid
    vcon = vcon_with(analysis("customer_frustration", "fine"), REVIEW, SUMMARY)
    run = KeepingRun(vcon)
    async with opened(slack, resources, url="https://example.com/page") as link:
        assert await link(vcon, run) == CONTINUE
        assert await link(Vcon(vcon.to_bytes()), run) == CONTINUE
    (message,) = slack.posted
    assert (message["channel"], message["text"]) == ("alerts", "They talked.")
    texts = [block["text"]["text"] for block in message["blocks"]]
    assert texts == [
        "Check this out :neutral_face:",
        "They talked.",
        "Please review the details here:",
    ]
    button = message["blocks"][2]["accessory"]
    assert button["url"] == f'https://example.com/page?_vcon_id="{vcon.uuid}"'
    assert [item.get("was_posted_to_slack") for item in vcon.analysis] == [None, True, None]
    assert run.kept == [vcon.to_bytes()]


async def test_says_what_belongs_to_the_dialog(slack: SlackDouble, resources: Resources) -> None:
    vcon = vcon_with(
        *(analysis("summary", f"S{n}", n) for n in range(2)),
        analysis("mood", {"verdict": "böse"}, 1),
        analysis("mood", {"verdict": "böse"}, [0, 1]),
    )
    only_if = {"analysis_type": "mood", "includes": '"verdict": "böse"'}
    url = "https://example.com/{vcon_id}"
    async with opened(slack, resources, only_if=only_if, url=url) as link:
        await link(vcon, KeepingRun(vcon))
    assert [message["text"] for message in slack.posted] == ["S1", "(there is no summary)"]
    button = slack.posted[0]["blocks"][2]["accessory"]
    assert button["url"] == f"https://example.com/{vcon.uuid}"


@pytest.mark.parametrize("name", ["purpose", "type"])
async def test_tells_the_team_first(slack: SlackDouble, resources: Resources, name: str) -> None:
    slack.channels.add("team-alpha-alerts")
    body = {"name": "Cars & Co", "team": {"name": "Alpha Team"}}
    given: Any = json.dumps(body) if name == "type" else body
    vcon = vcon_with(REVIEW, SUMMARY, attachments=dealer(given, name))
    run = KeepingRun(vcon)
    async with opened(slack, resources) as link:
        await link(vcon, run)
    assert [message["channel"] for message in slack.posted] == ["team-alpha-alerts", "alerts"]
    assert {message["text"] for message in slack.posted} == {"They talked. #Cars &amp; Co"}
    assert len(run.kept) == 2
    assert vcon.analysis[0].keys() == {*REVIEW, "was_posted_to_slack"}


@pytest.mark.parametrize(
    "body",
    [None, "no json", {"team": None}, {"team": {"name": " "}}, {"team": {"name": "Strolid"}}],
)
async def test_without_a_team_of_its_own(
    slack: SlackDouble, resources: Resources, body: Any
) -> None:
    vcon = vcon_with(REVIEW, SUMMARY, attachments=dealer(body))
    async with opened(slack, resources, default_channel_name=None, channel_name="alerts") as link:
        await link(vcon, KeepingRun(vcon))
    assert [message["channel"] for message in slack.posted] == ["alerts"]


async def test_a_channel_that_does_not_exist(slack: SlackDouble, resources: Resources) -> None:
    vcon = vcon_with(REVIEW, SUMMARY, attachments=dealer({"team": {"name": "Gone"}}))
    async with opened(slack, resources) as link:
        await link(vcon, KeepingRun(vcon))
    assert [(message["channel"], message["text"]) for message in slack.posted] == [
        ("alerts", "The channel name doesn't exist - team-gone-alerts"),
        ("alerts", "They talked."),
    ]
    assert vcon.analysis[0]["was_posted_to_slack"] is True
    slack.channels.clear()
    again = vcon_with(REVIEW, SUMMARY)
    async with opened(slack, resources) as link:
        with pytest.raises(Permanent, match="Slack: channel_not_found"):
            await link(again, KeepingRun(again))
    assert not again.changed


async def test_what_was_posted_before_a_crash_is_not_repeated(
    slack: SlackDouble, resources: Resources
) -> None:
    slack.channels.add("team-alpha-alerts")
    attachments = dealer({"team": {"name": "alpha"}})
    second = analysis("summary", "Second.", 1)
    vcon = vcon_with(REVIEW, SUMMARY, second, REVIEW | {"dialog": 1}, attachments=attachments)
    run = KeepingRun(vcon)
    async with opened(slack, resources) as link:
        await link(vcon, run)
        everything = [(message["channel"], message["text"]) for message in slack.posted]
        assert len(everything) == len(run.kept) == 4
        # Killed right after the vCon was kept for the nth time, and begun again on what was kept.
        for number, kept in enumerate(run.kept, start=1):
            slack.posted.clear()
            again = Vcon(kept)
            await link(again, KeepingRun(again))
            posted = [(message["channel"], message["text"]) for message in slack.posted]
            assert posted == everything[number:]
            assert again.analysis == vcon.analysis


@pytest.mark.parametrize(
    ("reply", "message", "retry_after"),
    [
        (Reply(status=429, headers={"Retry-After": "30"}), "Slack: status 429", 30),
        (answer(error="ratelimited"), "Slack: ratelimited", None),
        (Reply(status=503, body=b"<html>"), "Slack: status 503", None),
        (answer(error="internal_error"), "Slack: internal_error", None),
        (Reply(headers={"Content-Type": "text/html"}, body=b"<p>"), "Slack: status 200", None),
        (
            Reply(headers={"Content-Type": "application/json"}, body=b"{"),
            "Slack: status 200",
            None,
        ),
        (Reply(fault="reset"), "Slack: ", None),
        (Reply(fault="hang"), "Slack: no answer in time", None),
    ],
)
async def test_what_may_pass_is_tried_again(
    slack: SlackDouble, resources: Resources, reply: Reply, message: str, retry_after: float | None
) -> None:
    slack.trouble = [reply]
    vcon = vcon_with(REVIEW, SUMMARY)
    async with opened(slack, resources, timeout=0.5) as link:
        with pytest.raises(Retryable, match=message) as caught:
            await link(vcon, KeepingRun(vcon))
        assert caught.value.retry_after == retry_after
        is_limit = message in ("Slack: status 429", "Slack: ratelimited")
        assert isinstance(caught.value, Throttled) == is_limit
        assert not vcon.changed
        assert slack.asked == 1  # the client repeats nothing by itself
        await link(vcon, KeepingRun(vcon))
    assert len(slack.posted) == 1


async def test_nobody_listening_is_an_outage(slack: SlackDouble, resources: Resources) -> None:
    vcon = vcon_with(REVIEW)
    base_url = f"http://127.0.0.1:{free_port()}/"
    async with opened(slack, resources, base_url=base_url) as link:
        with pytest.raises(Retryable, match="Slack: ClientConnectorError"):
            await link(vcon, KeepingRun(vcon))


@pytest.mark.parametrize("error", ["missing_scope", "invalid_blocks", "account_inactive"])
async def test_what_slack_refuses_is_permanent(
    slack: SlackDouble, resources: Resources, error: str
) -> None:
    slack.trouble = [answer(error=error)]
    vcon = vcon_with(REVIEW, SUMMARY)
    async with opened(slack, resources) as link:
        with pytest.raises(Permanent, match=f"^Slack: {error}$"):
            await link(vcon, KeepingRun(vcon))


async def test_a_refused_token_is_not_told(slack: SlackDouble, resources: Resources) -> None:
    vcon = vcon_with(REVIEW, analysis("summary", "their words"))
    async with opened(slack, resources, token="xoxb-wrong") as link:
        with pytest.raises(Permanent, match=r"^Slack: invalid_auth$") as caught:
            await link(vcon, KeepingRun(vcon))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("missing", ["token", "default_channel_name"])
async def test_needs_token_and_channel_from_the_start(
    slack: SlackDouble, resources: Resources, missing: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        async with opened(slack, resources, **{missing: None}):
            pass
    assert [problem.place for problem in caught.value.problems] == [missing]


@pytest.mark.parametrize("letter", ["x", "&"])
async def test_a_long_text_is_cut(slack: SlackDouble, resources: Resources, letter: str) -> None:
    attachments = dealer({"name": "D", "team": {"name": "alpha"}})
    slack.channels.add("team-alpha-alerts")
    vcon = vcon_with(REVIEW, analysis("summary", letter * 9000), attachments=attachments)
    async with opened(slack, resources) as link:
        await link(vcon, KeepingRun(vcon))
    text = slack.posted[0]["text"]
    assert text.endswith("… #D")
    assert 2900 < len(text) <= 3000


async def test_a_conversation_calls_nobody(slack: SlackDouble, resources: Resources) -> None:
    vcon = vcon_with(REVIEW, analysis("summary", "<!channel> <@U1> <https://x|y>"))
    async with opened(slack, resources) as link:
        await link(vcon, KeepingRun(vcon))
    assert "<" not in slack.posted[0]["text"]


def test_options_of_the_reference_load(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    options: dict[str, Any] = {"only_if": {"type": "x"}}
    link = {"module": "links.post_analysis_to_slack", "options": options}
    file.write_text(json.dumps({"links": {"tell": link}, "chains": {"c": {"links": ["tell"]}}}))
    (error,) = check(file, {}).errors
    assert "links.tell.options.only_if" in error
    options["only_if"] = {"analysis_type": "x", "includes": "y"}
    file.write_text(json.dumps({"links": {"tell": link}, "chains": {"c": {"links": ["tell"]}}}))
    assert check(file, {}).errors == ()
