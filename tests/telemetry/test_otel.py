"""Switching spans on: nothing is imported before, and what is missing is said."""

import builtins
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from vconflow.errors import ConfigError
from vconflow.settings import Settings
from vconflow.telemetry.otel import OtelSpans, exporter_of, open_otel
from vconflow.telemetry.spans import open_spans

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_nothing_of_it_is_imported_while_it_is_off() -> None:
    code = (
        "import sys, vconflow.app, vconflow.cli, vconflow.server.process; "
        "print([m for m in sys.modules if m.partition('.')[0] in ('opentelemetry', 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_off_unless_switched_on() -> None:
    assert Settings.load({}).vconflow_otel is False
    async with open_spans(enabled=False) as spans:
        assert spans is None


async def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "vconflow.telemetry.otel")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"VCONFLOW_OTEL: .*pip install 'vconflow\[otel\]'"):
        async with open_spans(enabled=True):
            pass


@pytest.mark.parametrize(
    ("variables", "name", "instance"),
    [
        ({}, "vconflow", "r1"),
        ({"OTEL_SERVICE_NAME": "ours"}, "ours", "r1"),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs,service.instance.id=x"},
            "theirs",
            "x",
        ),
    ],
)
async def test_who_we_are(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str, instance: str
) -> None:
    providers: list[TracerProvider] = []
    monkeypatch.setattr(
        TracerProvider,
        "get_tracer",
        lambda self, *_: providers.append(self),
    )
    for variable, value in {"OTEL_TRACES_EXPORTER": "none", **variables}.items():
        monkeypatch.setenv(variable, value)
    async with open_otel("r1"):
        (provider,) = providers
        resource: Resource = provider.resource
        about = resource.attributes
        assert (about["service.name"], about["service.instance.id"]) == (name, instance)
        assert about["service.version"]


def test_where_spans_go() -> None:
    assert exporter_of({"OTEL_TRACES_EXPORTER": "none"}) is None
    assert isinstance(exporter_of({"OTEL_TRACES_EXPORTER": "console"}), ConsoleSpanExporter)
    both = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    assert exporter_of(both | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is not None
    with pytest.raises(ConfigError, match="OTEL_TRACES_EXPORTER: is otlp, console or none"):
        exporter_of({"OTEL_TRACES_EXPORTER": "zipkin"})
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: is http/protobuf"):
        exporter_of({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"})


def test_the_callers_choice_not_to_sample_goes_along() -> None:
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    spans = OtelSpans(provider.get_tracer("t"))
    assert spans.begin("x", "server", f"{PARENT[:-2]}00", {}).traceparent.endswith("-00")
    assert spans.begin("x", "server", PARENT, {}).traceparent.endswith("-01")
    begun = spans.begin("x", "server", "", {}).traceparent
    assert not int(begun[-2:], 16) & 1
    assert PARENT[3:35] not in begun


async def test_a_disabled_sdk_hands_the_callers_trace_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with open_otel("r1") as spans:
        assert spans.begin("x", "server", PARENT, {}).traceparent == PARENT
        with spans.begin("x", "server", "", {}).current():
            assert spans.begin("x", "consumer", "", {}).traceparent == ""
