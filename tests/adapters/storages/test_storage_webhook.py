"""The storage `webhook` on a receiver that records."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from vconflow.adapters.http import open_http
from vconflow.adapters.storages.webhook import WebhookStorage, WebhookStorageOptions
from vconflow.errors import PartialFailure, Refused, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Resources, Secret
from vconflow.testing.contracts import (
    Outage,
    Refusal,
    StorageContract,
    StorageFaultsContract,
    resources_for,
)
from vconflow.testing.contracts.storage import stored
from vconflow.testing.contracts.storage_faults import SECRET, Holds
from vconflow.testing.servers import free_port
from vconflow.testing.webhook_receiver import Received, Reply, WebhookReceiver, webhook_receiver


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
async def online(tmp_path: Path) -> AsyncIterator[Resources]:
    async with open_http() as http:
        yield replace(resources_for(tmp_path, name="hooks"), http=http)


@asynccontextmanager
async def opened(resources: Resources, *urls: str, **options: Any) -> AsyncIterator[WebhookStorage]:
    given = WebhookStorageOptions(webhook_urls=urls, **options)
    async with WebhookStorage.open(given, resources) as storage:
        yield storage


class TestWebhookStorage(StorageContract):
    deletes: ClassVar = False

    @pytest.fixture
    async def storage(
        self, online: Resources, receiver: WebhookReceiver
    ) -> AsyncIterator[WebhookStorage]:
        async with opened(online, receiver.url) as storage:
            yield storage


@asynccontextmanager
async def answered(
    online: Resources, reply: Callable[[Received], Reply]
) -> AsyncIterator[tuple[WebhookStorage, Holds]]:
    """A storage whose receiver has what it answers with success."""
    taken: set[bytes] = set()

    def decide(received: Received) -> Reply:
        given = reply(received)
        if given.status == HTTPStatus.OK:
            taken.add(received.body)
        return given

    async def holds(vcon: StoredVcon) -> bool:
        return vcon.document in taken

    with webhook_receiver(decide) as receiver:
        async with opened(online, receiver.url) as storage:
            yield storage, holds


class TestWebhookStorageFaults(StorageFaultsContract):
    asks: ClassVar = False

    @pytest.fixture
    async def outage(self, online: Resources) -> AsyncIterator[Outage]:
        replies = [Reply()]

        async def begin() -> None:
            replies[0] = Reply(status=503)

        async def end() -> None:
            replies[0] = Reply()

        async with answered(online, lambda _: replies[0]) as (storage, holds):
            yield Outage(storage, begin, end, holds)

    @pytest.fixture
    async def refusal(self, online: Resources) -> AsyncIterator[Refusal]:
        bad = stored(members=f',"subject":"{SECRET}"')

        def reply(received: Received) -> Reply:
            is_bad = received.body == bad.document
            return Reply(status=422, body=received.body) if is_bad else Reply()

        async with answered(online, reply) as (storage, holds):
            yield Refusal(storage, bad, holds)


async def test_posts_the_very_bytes_signed(online: Resources, receiver: WebhookReceiver) -> None:
    vcons = [stored(members=',"subject":"\\u0000"'), stored(rev=7)]
    options = {"headers": {"Authorization": Secret("Bearer x")}, "signing_secret": Secret("s")}
    async with opened(online, f"{receiver.url}/a", f"{receiver.url}/b", **options) as storage:
        await storage.put(vcons)
    assert sorted(received.path for received in receiver.received) == ["/a", "/a", "/b", "/b"]
    by_key = {received.headers["idempotency-key"]: received for received in receiver.received}
    assert by_key.keys() == {f"hooks:{vcon.uuid}:{vcon.rev}" for vcon in vcons}
    for vcon in vcons:
        received = by_key[f"hooks:{vcon.uuid}:{vcon.rev}"]
        assert received.body == vcon.document
        assert received.headers["authorization"] == "Bearer x"
        digest = hmac.new(b"s", vcon.document, "sha256").hexdigest()
        assert received.headers["x-hub-signature-256"] == f"sha256={digest}"


async def test_names_those_that_were_not_taken(online: Resources) -> None:
    taken, refused, later = (stored(members=f',"subject":"{n}"') for n in range(3))
    replies = {
        refused.document: Reply(status=422),
        later.document: Reply(status=429, headers={"Retry-After": "7"}),
    }

    def decide(received: Received) -> Reply:
        return replies.get(received.body, Reply())

    with webhook_receiver(decide) as receiver:
        async with opened(online, f"{receiver.url}/hook?token=t") as storage:
            with pytest.raises(PartialFailure) as caught:
                await storage.put([refused, taken, later])
    failures = caught.value.failures
    assert failures.keys() == {refused.uuid, later.uuid}
    assert isinstance(failures[refused.uuid], Refused)
    waiting = failures[later.uuid]
    assert isinstance(waiting, Retryable)
    assert waiting.retry_after == 7
    assert "token" not in f"{failures}"


@pytest.mark.parametrize("reply", [Reply(status=503), Reply(fault="reset"), Reply(fault="hang")])
async def test_an_outage_ends_when_the_receiver_is_back(
    online: Resources, receiver: WebhookReceiver, reply: Reply
) -> None:
    vcons = [stored() for _ in range(3)]
    receiver.default = reply
    async with opened(online, receiver.url, timeout=0.3) as storage:
        with pytest.raises(PartialFailure) as caught:
            await storage.put(vcons)
        assert caught.value.failures.keys() == {vcon.uuid for vcon in vcons}
        assert {type(failure) for failure in caught.value.failures.values()} == {Retryable}
        receiver.default = Reply()
        await storage.put(vcons)
    assert {received.body for received in receiver.received[-3:]} == {v.document for v in vcons}


async def test_nobody_listening_is_an_outage(online: Resources) -> None:
    vcon = stored()
    async with opened(online, f"http://127.0.0.1:{free_port()}") as storage:
        with pytest.raises(PartialFailure) as caught:
            await storage.put([vcon])
    assert isinstance(caught.value.failures[vcon.uuid], Retryable)


async def test_a_batch_goes_out_together_and_not_all_at_once(online: Resources) -> None:
    with webhook_receiver() as receiver:
        receiver.default = Reply(fault="hang")
        async with opened(online, receiver.url, concurrency=4) as storage:
            batch = [stored() for _ in range(10)]
            writing = asyncio.create_task(storage.put(batch))
            await asyncio.to_thread(receiver.wait_for, 4)
            await asyncio.sleep(0.3)
            assert len(receiver.received) == 4  # and no fifth as long as these hang
            receiver.release()
            await writing
            assert len(receiver.received) == 10


async def test_a_cancelled_batch_stops(online: Resources, receiver: WebhookReceiver) -> None:
    receiver.default = Reply(fault="hang")
    async with opened(online, receiver.url, concurrency=2) as storage:
        batch = [stored() for _ in range(5)]
        writing = asyncio.create_task(storage.put(batch))
        await asyncio.to_thread(receiver.wait_for, 2)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        receiver.default = Reply()
        await storage.put([stored()])  # every slot is free again
    assert len(receiver.received) == 3


async def test_without_urls_nothing_happens(online: Resources) -> None:
    async with opened(online) as storage:
        await storage.put([stored()])
        assert await storage.delete("u") is False


@pytest.mark.parametrize(
    "raw", [{"webhook-urls": ["ftp://x"]}, {"timeout": 0}, {"concurrency": 0}, {"url": "x"}]
)
def test_refuses_options(raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, WebhookStorageOptions)
