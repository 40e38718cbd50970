"""The built-in links: the contract for all of them, and what each one does."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from vconflow.adapters.http import open_http
from vconflow.errors import Permanent, Refused, Retryable, Throttled
from vconflow.links.delay import DelayLink
from vconflow.links.expire_vcon import ExpireVconLink
from vconflow.links.sampler import SamplerLink
from vconflow.links.tag import TagLink
from vconflow.links.tag_router import TagRouterLink
from vconflow.links.webhook import WebhookLink, WebhookOptions
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources, Secret
from vconflow.ports.link import CONTINUE, Halt, Link, LinkRun, Outcome, Route
from vconflow.testing.contracts import LinkContract, ManualClock, RecordingSender, resources_for
from vconflow.testing.webhook_receiver import Reply, WebhookReceiver


class TestTagContract(LinkContract):
    link_class = TagLink
    link_options: ClassVar = {"tags": ["iron", "source:phone"]}
    changes = frozenset({"attachments"})


class TestWebhookContract(LinkContract):
    link_class = WebhookLink
    link_options: ClassVar = {"webhook-urls": ["http://127.0.0.1:9/hook"]}


class TestTagRouterContract(LinkContract):
    link_class = TagRouterLink
    link_options: ClassVar = {"tag_routes": {"iron": "metal"}}


@pytest.mark.parametrize("method", ["percentage", "rate", "modulo", "time_based"])
class TestSamplerContract(LinkContract):
    link_class = SamplerLink

    @pytest.fixture(autouse=True)
    def _method(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(self), "link_options", {"method": method})


class TestExpireVconContract(LinkContract):
    link_class = ExpireVconLink


class TestDelayContract(LinkContract):
    link_class = DelayLink


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return resources_for(tmp_path)


def vcon_with(tags: Any = None, uuid: str = "") -> Vcon:
    document: dict[str, Any] = {
        "vcon": "0.0.1",
        "uuid": uuid or new_uuid("links"),
        "created_at": "2024-03-14T09:26:53Z",
        "parties": [],
    }
    if tags is not None:
        document["attachments"] = [{"type": "tags", "body": tags, "encoding": "json"}]
    return Vcon(msgspec.json.encode(document))


def run() -> LinkRun:
    return LinkRun(link="l", chain="c", list="in", entry="5-1")


@asynccontextmanager
async def opened(link_class: Any, resources: Resources, **options: Any) -> AsyncIterator[Link]:
    given = msgspec.convert(options, link_class.options, strict=False)
    async with link_class.open(given, resources) as link:
        yield link


async def outcome(link_class: Any, resources: Resources, vcon: Vcon, **options: Any) -> Outcome:
    async with opened(link_class, resources, **options) as link:
        return await link(vcon, run())


# tag


@pytest.mark.parametrize(
    ("configured", "written"),
    [
        (["iron", "maiden"], ["iron:iron", "maiden:maiden"]),
        (["a:b:c", " k = v "], ["a:b:c", "k:v"]),
        ({"source": "phone", "n": 7}, ["source:phone", "n:7"]),
        (
            [{"source": "phone"}, {"name": "x", "value": "y"}, 2024],
            ["source:phone", "x:y", "2024:2024"],
        ),
        (["same", "same"], ["same:same"]),
        ([], []),
    ],
)
async def test_tag_takes_every_form(
    resources: Resources, configured: Any, written: list[str]
) -> None:
    vcon = vcon_with()
    assert await outcome(TagLink, resources, vcon, tags=configured) == CONTINUE
    assert vcon.tags == written
    assert vcon.changed == bool(written)


async def test_tag_keeps_the_tags_there_are(resources: Resources) -> None:
    vcon = vcon_with(["old:1", "iron:iron"])
    await outcome(TagLink, resources, vcon, tags=["iron", "new"])
    assert vcon.tags == ["old:1", "iron:iron", "new:new"]


# tag_router


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["vip:yes"], Route(("gold",))),
        (["vip:no"], Route(("silver", "gold"))),
        (["bare"], Route(("bronze",))),
        (["bare:1", "vip:no", "lang:de"], Route(("bronze", "silver", "gold"))),
        ({"vip": "yes"}, Route(("gold",))),
        (["vipper:yes", "x:vip"], CONTINUE),
        (None, CONTINUE),
    ],
)
async def test_tag_router(resources: Resources, tags: Any, expected: Outcome) -> None:
    routes = {"vip": "gold", "vip:no": ["silver", "gold"], "bare": ["bronze"], "lang:de": "gold"}
    assert await outcome(TagRouterLink, resources, vcon_with(tags), tag_routes=routes) == expected


async def test_tag_router_keeps_the_original_back(resources: Resources) -> None:
    options = {"tag_routes": {"vip": "gold"}, "forward_original": "false"}
    routed = await outcome(TagRouterLink, resources, vcon_with(["vip:1"]), **options)
    assert routed == Route(("gold",), go_on=False)
    assert await outcome(TagRouterLink, resources, vcon_with(), **options) == Halt(
        "no route for its tags"
    )


# sampler


async def kept(resources: Resources, uuids: list[str], **options: Any) -> list[str]:
    async with opened(SamplerLink, resources, **options) as link:
        return [uuid for uuid in uuids if await link(vcon_with(uuid=uuid), run()) == CONTINUE]


UUIDS = [f"018e3f2a-9c1b-8a2b-b3c4-{n:012x}" for n in range(1000)]


@pytest.mark.parametrize("method", ["percentage", "rate", "modulo", "time_based"])
async def test_sampler_lets_nothing_through_at_zero(resources: Resources, method: str) -> None:
    assert await kept(resources, UUIDS[:50], method=method, value=0) == []


async def test_sampler_by_percentage(resources: Resources) -> None:
    assert 220 < len(await kept(resources, UUIDS, value="25")) < 280
    assert await kept(resources, UUIDS, value=100) == UUIDS


async def test_sampler_with_a_seed_decides_by_uuid(resources: Resources) -> None:
    first = await kept(resources, UUIDS, value=25, seed=7)
    assert await kept(resources, UUIDS[::-1], value=25, seed=7) == first[::-1]
    assert 200 < len(first) < 300
    assert await kept(resources, UUIDS, value=25, seed="other") != first


async def test_sampler_by_modulo_keeps_those_of_the_reference(resources: Resources) -> None:
    expected = [
        uuid for uuid in UUIDS if int(hashlib.sha256(uuid.encode()).hexdigest()[:8], 16) % 10 == 0
    ]
    assert await kept(resources, UUIDS, method="modulo", value=10) == expected
    assert 50 < len(expected) < 150


async def test_sampler_by_time(resources: Resources) -> None:
    clock = resources.clock
    assert isinstance(clock, ManualClock)
    async with opened(SamplerLink, resources, method="time_based", value=10) as link:
        passed = []
        for second in range(40):
            passed += [second] if await link(vcon_with(), run()) == CONTINUE else []
            clock.advance(1)
    assert passed == [0, 10, 20, 30]


async def test_sampler_by_rate(resources: Resources) -> None:
    clock = resources.clock
    assert isinstance(clock, ManualClock)
    async with opened(SamplerLink, resources, method="rate", value=10) as link:
        passed = 0
        for _ in range(20_000):  # 2,000 seconds, ten vCons in each
            passed += await link(vcon_with(uuid=UUIDS[0]), run()) == CONTINUE
            clock.advance(0.1)
    assert 160 < passed < 240


async def test_sampler_halts_with_a_reason(resources: Resources) -> None:
    halted = await outcome(SamplerLink, resources, vcon_with(), value=0)
    assert halted == Halt("not in the sample")


@pytest.mark.parametrize("value", [0.5, float("inf"), -1])
def test_sampler_refuses_a_value_it_cannot_use(value: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"method": "modulo", "value": value}, SamplerLink.options)


# expire_vcon and delay


async def test_expire_asks_for_the_expiry(resources: Resources) -> None:
    async with opened(ExpireVconLink, resources, seconds="60") as link:
        this_run = run()
        assert await link(vcon_with(), this_run) == CONTINUE
    assert this_run.expire_seconds == 60


@pytest.mark.parametrize(
    ("wanted", "kept"), [(60.9, 60), (1e30, 3_153_600_000), (float("inf"), 3_153_600_000)]
)
def test_an_expiry_is_one_that_redis_can_count(wanted: float, kept: int) -> None:
    """A module of a third party may ask for anything."""
    this_run = run()
    this_run.expire(wanted)  # type: ignore[arg-type]
    assert this_run.expire_seconds == kept


async def test_delay_sleeps_on_the_clock(resources: Resources) -> None:
    assert await outcome(DelayLink, resources, vcon_with(), seconds=0.25) == CONTINUE
    assert isinstance(resources.clock, ManualClock)
    assert resources.clock.slept == [0.25]


# webhook


@pytest.fixture
async def online(tmp_path: Path) -> AsyncIterator[Resources]:
    """Resources with the real HTTP client."""
    offline = resources_for(tmp_path)
    async with open_http() as http:
        yield Resources(
            name="hook",
            http=http,
            fetcher=offline.fetcher,
            documents=offline.documents,
            objects=offline.objects,
            clock=offline.clock,
            data_dir=tmp_path,
            providers=offline.providers,
        )


async def test_webhook_posts_the_very_bytes(online: Resources, receiver: WebhookReceiver) -> None:
    vcon = vcon_with(["a:1"])
    options = WebhookOptions(
        webhook_urls=(f"{receiver.url}/hook?token=t",),
        headers={"Authorization": Secret("Bearer x"), "CONTENT-TYPE": Secret("application/vcon")},
        signing_secret=Secret("geheim"),
    )
    async with WebhookLink.open(options, online) as link:
        assert await link(vcon, run()) == CONTINUE
    (received,) = receiver.received
    assert (received.path, received.body) == ("/hook?token=t", vcon.to_bytes())
    assert received.headers["authorization"] == "Bearer x"
    assert received.headers["content-type"] == "application/vcon"
    assert received.headers["idempotency-key"] == "in:5-1:l"
    digest = hmac.new(b"geheim", received.body, "sha256").hexdigest()
    assert received.headers["x-hub-signature-256"] == f"sha256={digest}"


async def test_webhook_without_extras(online: Resources, receiver: WebhookReceiver) -> None:
    urls = {"webhook-urls": [receiver.url]}
    async with opened(WebhookLink, online, **urls) as link:
        this_run = LinkRun(link="l", chain="c", list="Gespräche\n", entry="5-1")
        await link(vcon_with(), this_run)
    (received,) = receiver.received
    assert received.headers["content-type"] == "application/json"
    assert received.headers["idempotency-key"] == "Gespr%C3%A4che%0A:5-1:l"
    assert "x-hub-signature-256" not in received.headers


async def test_webhook_tries_all_urls(online: Resources, receiver: WebhookReceiver) -> None:
    receiver.default = Reply(status=503)
    urls = {"webhook-urls": [f"{receiver.url}/1", f"{receiver.url}/2", "http://127.0.0.1:1/3"]}
    async with opened(WebhookLink, online, **urls) as link:
        with pytest.raises(Retryable, match="3 of 3 webhooks failed"):
            await link(vcon_with(), run())
    assert sorted(received.path for received in receiver.received) == ["/1", "/2"]


@pytest.mark.parametrize("took_it", [True, False])
async def test_a_rate_limit_counts_when_others_get_it_again(
    online: Resources, receiver: WebhookReceiver, *, took_it: bool
) -> None:
    receiver.answer(Reply(status=429), Reply(status=200 if took_it else 429))
    urls = {"webhook-urls": [f"{receiver.url}/1", f"{receiver.url}/2"]}
    async with opened(WebhookLink, online, **urls) as link:
        with pytest.raises(Retryable) as caught:
            await link(vcon_with(), run())
    assert isinstance(caught.value, Throttled) is not took_it


@pytest.mark.parametrize("answers", [True, False])
async def test_a_webhook_that_answers_is_not_away(resources: Resources, *, answers: bool) -> None:
    sender = resources.http
    assert isinstance(sender, RecordingSender)
    sender.errors = {"http://a": Permanent("no"), "http://b": Retryable("wait", retry_after=9)}
    if answers:
        del sender.errors["http://b"]
    urls = {"webhook-urls": ["http://a", "http://b", "http://c"]}
    async with opened(WebhookLink, resources, **urls) as link:
        with pytest.raises(Retryable) as caught:
            await link(vcon_with(), run())
    assert str(caught.value).startswith(f"{1 if answers else 2} of 3 webhooks failed: no")
    assert isinstance(caught.value, Refused) is answers
    assert caught.value.retry_after == (None if answers else 9)
    assert [post.url for post in sender.posts] == ["http://a", "http://b", "http://c"]


@pytest.mark.parametrize("status", [301, 401, 404, 410, 422])
async def test_any_other_status_of_a_webhook_is_tried_again(
    online: Resources, receiver: WebhookReceiver, status: int
) -> None:
    receiver.answer(Reply(status=status))
    async with opened(WebhookLink, online, **{"webhook-urls": [receiver.url]}) as link:
        with pytest.raises(Refused, match=f"status {status}"):
            await link(vcon_with(), run())
        assert await link(vcon_with(), run()) == CONTINUE


async def test_webhook_can_be_cancelled(online: Resources, receiver: WebhookReceiver) -> None:
    receiver.default = Reply(fault="hang")
    urls = {"webhook-urls": [receiver.url, receiver.url]}
    async with opened(WebhookLink, online, **urls) as link:
        task = asyncio.create_task(link(vcon_with(), run()))  # type: ignore[arg-type]  # a coroutine
        await asyncio.to_thread(receiver.wait_for, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("raw", [{"webhook-urls": ["ftp://x"]}, {"timeout": 0}, {"urls": []}])
def test_webhook_refuses_options(raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, WebhookOptions)
