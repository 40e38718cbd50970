"""Spans of a real process, sent to a real collector's port by OTLP over HTTP, or to nobody."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from loading import vcons
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from redis_view import until
from vconflow_process import VconflowProcess, launched, pop_all, vconflow

from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
COUNT = 50


@pytest.fixture
def collector() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


def config_of(folder: Path) -> dict[str, Any]:
    first = {"ingress_lists": ["in"], "storages": ["file"], "egress_lists": ["next"]}
    return {
        "links": {"mark": {"module": "links.tag", "options": {"tags": ["x"]}}},
        "storages": {
            "file": {"module": "storage.file", "options": {"path": str(folder / "files")}}
        },
        "chains": {
            "a": {"links": ["mark"], **first},
            "b": {"links": ["mark"], "ingress_lists": ["next"], "egress_lists": ["out"]},
        },
    }


def spans_of(collector: WebhookReceiver) -> list[Span]:
    found: list[Span] = []
    for received in collector.received:
        assert received.path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(received.body)
        for resource in request.resource_spans:
            about = {it.key: it.value.string_value for it in resource.resource.attributes}
            assert (about["service.name"], about["service.instance.id"]) == ("ours", "one")
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def environment(url: str, **more: str) -> dict[str, str]:
    return {
        "VCONFLOW_OTEL": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=collector-key",
        "OTEL_SERVICE_NAME": "ours",
        **more,
    }


async def post(process: VconflowProcess, documents: dict[str, bytes]) -> None:
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        for document in documents.values():
            headers = {"traceparent": PARENT}
            answer = await client.post("/vcon?ingress_lists=in", content=document, headers=headers)
            assert answer.status_code == 201
        assert sorted(await pop_all(client, "out", len(documents))) == sorted(documents)


async def test_a_trace_from_the_post_to_the_last_chain(
    tmp_path: Path, shared_data: Path, valkey_url: str, collector: WebhookReceiver
) -> None:
    documents = vcons(shared_data, 1)
    settings = environment(collector.url, OTEL_BSP_SCHEDULE_DELAY="60000")
    async with vconflow(tmp_path, config_of(tmp_path), REDIS_URL=valkey_url, **settings) as process:
        await post(process, documents)
        assert collector.received == []
        # What is left is sent before the process ends.
        assert await process.terminate() == 0
    assert collector.received[0].headers["x-key"] == "collector-key"
    spans = spans_of(collector)
    names = {span.span_id: span.name for span in spans}
    way = [
        (span.name, names.get(span.parent_span_id, "?"))
        for span in spans
        if span.trace_id.hex() == TRACE
    ]
    assert sorted(way) == [
        ("POST /vcon", "?"),
        ("chain a", "POST /vcon"),
        ("chain b", "chain a"),
        ("link mark", "chain a"),
        ("link mark", "chain b"),
        ("storage file", "chain a"),
    ]
    (request,) = (span for span in spans if span.name == "POST /vcon")
    told = {it.key: it.value.string_value or it.value.int_value for it in request.attributes}
    assert told == {
        "http.request.method": "POST",
        "http.route": "/vcon",
        "http.response.status_code": 201,
        "vconflow.uuid": next(iter(documents)),
        "vconflow.lists": "in",
    }
    assert (request.kind, request.parent_span_id.hex()) == (Span.SPAN_KIND_SERVER, PARENT[36:52])
    assert "collector-key" not in process.log.read_text()


@pytest.mark.parametrize("trouble", [Reply(fault="hang"), Reply(500)], ids=str)
async def test_a_collector_in_trouble_stops_nothing(
    tmp_path: Path,
    shared_data: Path,
    valkey_url: str,
    collector: WebhookReceiver,
    trouble: Reply,
) -> None:
    collector.default = trouble
    documents = vcons(shared_data, COUNT)
    settings = environment(
        collector.url,
        OTEL_BSP_SCHEDULE_DELAY="10",
        OTEL_BSP_MAX_QUEUE_SIZE="20",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    async with vconflow(tmp_path, config_of(tmp_path), REDIS_URL=valkey_url, **settings) as process:
        await post(process, documents)
        await until(lambda: "collector_lost" in process.log.read_text())
        assert await process.terminate() == 0
    log = process.log.read_text()
    assert log.count("collector_lost") == 1
    assert "collector-key" not in log
    assert "Traceback" not in log


async def test_a_collector_that_comes_late_gets_the_rest(
    tmp_path: Path, shared_data: Path, valkey_url: str, collector: WebhookReceiver
) -> None:
    collector.default = Reply(400)
    settings = environment(collector.url, OTEL_BSP_SCHEDULE_DELAY="10")
    first, second = vcons(shared_data, 2).items()
    async with vconflow(tmp_path, config_of(tmp_path), REDIS_URL=valkey_url, **settings) as process:
        await post(process, dict([first]))
        await until(lambda: "collector_lost" in process.log.read_text())
        collector.default = Reply()
        await post(process, dict([second]))
        await until(lambda: "collector_back" in process.log.read_text())
        async with httpx.AsyncClient(base_url=process.url) as client:
            text = (await client.get("/metrics")).text
    for outcome in ("sent", "lost"):
        assert f'vconflow_spans_total{{outcome="{outcome}"}}' in text


async def test_what_is_not_built_in_is_told_at_the_start(tmp_path: Path, valkey_url: str) -> None:
    settings = {"VCONFLOW_OTEL": "1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    async with launched(tmp_path, config_of(tmp_path), REDIS_URL=valkey_url, **settings) as process:
        assert await process.ended() == 1
    assert "error: OTEL_EXPORTER_OTLP_PROTOCOL: is http/protobuf" in process.log.read_text()
