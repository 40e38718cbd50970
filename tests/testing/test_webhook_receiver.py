"""The webhook receiver decides its replies as it is told."""

import asyncio

import httpx

from vconflow.testing.webhook_receiver import Received, Reply, webhook_receiver


async def test_a_deciding_receiver_chooses_each_reply_and_records_nothing() -> None:
    seen: list[bytes] = []

    def decide(received: Received) -> Reply:
        seen.append(received.body)
        return Reply(429, {"Retry-After": "2"}) if received.body == b"one" else Reply(204)

    with webhook_receiver(decide) as receiver:
        async with httpx.AsyncClient() as client:
            one = await client.post(receiver.url, content=b"one")
            two = await client.post(receiver.url, content=b"two")
    assert (one.status_code, one.headers["retry-after"], two.status_code) == (429, "2", 204)
    assert seen == [b"one", b"two"]
    assert receiver.received == []


async def test_a_request_that_breaks_off_is_none() -> None:
    with webhook_receiver() as receiver:
        port = int(receiver.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[1, 2")
        writer.close()
        await writer.wait_closed()
        async with httpx.AsyncClient() as client:
            await client.post(receiver.url, content=b"whole")
        assert [received.body for received in receiver.received] == [b"whole"]
