"""The jlinc tracer against a server that answers as JLINC does."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vconflow.adapters.http import open_http
from vconflow.adapters.tracers.jlinc import JlincOptions, JlincTracer
from vconflow.errors import Permanent, Retryable
from vconflow.ports.tracer import Tracer
from vconflow.testing.contracts import TracerContract, resources_for
from vconflow.testing.contracts.tracer import passage
from vconflow.testing.jlinc_server import JlincServer, jlinc_server
from vconflow.testing.webhook_receiver import Reply

ENTITIES = ["entity/get", "entity/create"]


@pytest.fixture
def server() -> Iterator[JlincServer]:
    with jlinc_server() as server:
        yield server


@asynccontextmanager
async def opened(server: JlincServer, folder: Path, **options: Any) -> AsyncIterator[JlincTracer]:
    given = {
        "data_store_api_url": server.url,
        "data_store_api_key": server.key,
        "archive_api_url": "http://archive:9090",
        "archive_api_key": "archive-key",
        **options,
    }
    from vconflow.config.conversion import convert_struct
    from vconflow.config.findings import Findings

    findings = Findings()
    converted = convert_struct(JlincOptions, given, (), findings)
    assert converted is not None, findings
    async with open_http() as http:
        resources = replace(resources_for(folder), http=http)
        async with JlincTracer.open(converted, resources) as tracer:
            yield tracer


class TestContract(TracerContract):
    tracer_class = JlincTracer

    @pytest.fixture(params=[True, False], ids=["hash", "whole"])
    async def tracer(
        self, server: JlincServer, tmp_path: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[Tracer]:
        async with opened(server, tmp_path, hash_event_data=request.param) as tracer:
            yield tracer


async def test_the_calls_of_a_chain_of_two_links(server: JlincServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as tracer:
        for way in [("", "Tag it!"), ("Tag it!", "web-hook.1"), ("web-hook.1", "")]:
            await tracer.trace(passage(*way))
    names = ["vcontest-system", "vcontest-tag_it_", "vcontest-web-hook.1"]
    assert server.entities == {f"{name}@vcon.local" for name in names}
    produce = "event/produce"
    assert server.asked == [
        "entity/domains/get", *ENTITIES, *ENTITIES, produce, *ENTITIES, produce, produce
    ]  # fmt: skip
    assert [(e["senderShortName"], e["recipientShortName"]) for e in server.events] == [
        (f"{names[a]}@vcon.local", f"{names[b]}@vcon.local") for a, b in [(0, 1), (1, 2), (2, 0)]
    ]


async def test_an_event_says_what_came_out_and_where_the_audit_goes(
    server: JlincServer, tmp_path: Path
) -> None:
    came = passage("a", "b", ', "zz" : 1.10 ,"é":[ ]')
    other = msgspec.structs.replace(came, in_uuid="018e3f2a-9c1b-8a2b-b3c4-d5e6f7a8b9c0")
    async with opened(server, tmp_path) as tracer:
        await tracer.trace(other)
    text = json.dumps(json.loads(came.document))
    (event,) = server.events
    assert event == {
        "type": "data",
        "senderShortName": "vcontest-a@vcon.local",
        "recipientShortName": "vcontest-b@vcon.local",
        "agreementId": "00000000-0000-0000-0000-000000000000",
        "data": {"hash": hashlib.sha256(text.encode()).hexdigest()},
        "meta": {"in_vcon_uuid": other.in_uuid, "out_vcon_uuid": came.out_uuid},
        "archive": {"url": "http://archive:9090", "key": "archive-key"},
    }


async def test_the_vcon_itself_goes_along_when_it_is_not_hashed(
    server: JlincServer, tmp_path: Path
) -> None:
    came = passage("a", "b", ',"subject":"Grüße"')
    async with opened(server, tmp_path, hash_event_data=0, system_prefix="Our System") as tracer:
        await tracer.trace(came)
    (event,) = server.events
    assert event["data"] == json.loads(came.document)
    assert event["senderShortName"] == "our_system-a@vcon.local"


async def test_the_hash_is_the_same_however_a_copy_is_spaced(
    server: JlincServer, tmp_path: Path
) -> None:
    came = passage("a", "b", ', "x" : [1 ,2],"n":1' + "0" * 5000)
    small = passage("a", "b", ', "x" : [1 ,2]')
    respaced = json.dumps(json.loads(small.document), indent=4).encode()
    async with opened(server, tmp_path) as tracer:
        await tracer.trace(small)
        await tracer.trace(msgspec.structs.replace(small, document=respaced))
        await tracer.trace(came)  # its number is beyond what Python reads
    first, second, third = (event["data"]["hash"] for event in server.events)
    assert first == second != third == hashlib.sha256(came.document).hexdigest()


async def test_an_identity_is_made_once_by_many_at_once(
    server: JlincServer, tmp_path: Path
) -> None:
    async with opened(server, tmp_path) as one, opened(server, tmp_path) as two:
        many = [tracer.trace(passage("a", "b")) for tracer in (one, two) for _ in range(20)]
        await asyncio.gather(*many)
    assert len(server.events) == 40
    # The two replicas may have been at it at the same time.
    assert 2 <= server.asked.count("entity/create") <= 4


async def test_identities_that_jlinc_forgot_are_made_again(
    server: JlincServer, tmp_path: Path
) -> None:
    async with opened(server, tmp_path) as tracer:
        await tracer.trace(passage("a", "b"))
        server.entities.clear()
        with pytest.raises(Permanent, match="status 400"):
            await tracer.trace(passage("a", "b"))
        await tracer.trace(passage("a", "b"))
    assert len(server.events) == 2


async def test_a_refused_key_is_permanent_and_not_told(server: JlincServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path, data_store_api_key="wrong-key") as tracer:
        for _ in range(2):
            with pytest.raises(Permanent, match=r"http://127\.0\.0\.1:\d+: status 401$") as caught:
                await tracer.trace(passage("a", "b"))
            assert "wrong-key" not in str(caught.value)
        with pytest.raises(Permanent):
            await tracer.ping()


@pytest.mark.parametrize(
    ("trouble", "kind", "wait"),
    [
        (Reply(429, {"Retry-After": "7"}), Retryable, 7.0),
        (Reply(503), Retryable, None),
        (Reply(fault="reset"), Retryable, None),
        (Reply(403), Permanent, None),
        (Reply(200, body=b'{"created": {}}'), Permanent, None),
        (Reply(200, body=b"<html>secret"), Permanent, None),
        (Reply(200, body=b'"\xff"'), Permanent, None),
    ],
    ids=str,
)
async def test_trouble_with_an_event(
    server: JlincServer, tmp_path: Path, trouble: Reply, kind: type[Exception], wait: float | None
) -> None:
    async with opened(server, tmp_path) as tracer:
        await tracer.trace(passage("a", "b"))
        server.trouble = trouble
        with pytest.raises(kind) as caught:
            await tracer.trace(passage("a", "b"))
        assert getattr(caught.value, "retry_after", None) == wait
        assert "secret" not in str(caught.value)
        with pytest.raises(kind):
            await tracer.ping()
        server.trouble = None
        await tracer.trace(passage("a", "b"))


async def test_a_tracer_that_hangs_can_be_left(server: JlincServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as tracer:
        server.trouble = Reply(fault="hang")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await tracer.trace(passage("a", "b"))
        server.trouble = None
        await tracer.trace(passage("a", "b"))


@pytest.mark.parametrize("answer", ["[]", "{}", "[1]"])
async def test_an_answer_without_a_domain(server: JlincServer, tmp_path: Path, answer: str) -> None:
    async with opened(server, tmp_path) as tracer:
        server.trouble = Reply(200, body=answer.encode())
        with pytest.raises(Permanent, match="JLINC entity/domains/get: "):
            await tracer.trace(passage("a", "b"))


async def test_an_entity_without_a_document_is_none(server: JlincServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as tracer:
        await tracer.trace(passage("", "a"))
        server.trouble = Reply(200, body=b'{"didDoc": null}')
        with pytest.raises(Permanent, match="entity/create: the answer has no didDoc"):
            await tracer.trace(passage("a", "b"))


async def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = JlincServer("k", "d")
        nobody.url = f"http://127.0.0.1:{held.getsockname()[1]}/"
        async with opened(nobody, tmp_path) as tracer:
            with pytest.raises(Retryable, match="ConnectError"):
                await tracer.trace(passage("a", "b"))
