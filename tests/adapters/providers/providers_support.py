"""What stands behind the loopback providers, what they are asked, and how they fail."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vconflow.errors import Permanent, Retryable, Throttled
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account
from vconflow.telemetry import metrics
from vconflow.testing.providers import Reply

KEY = "sk-the-right-key"
WRONG = "sk-a-wrong-key"
SENTENCE = "The delivery was late and I would like a refund for my order, please."

JSON = {"Content-Type": "application/json"}
IN_TEN_HOURS = format_datetime(datetime.now(UTC) + timedelta(hours=10), usegmt=True)

# How a provider fails: its reply, what that means, and the seconds it asks to wait.
PASSING = [
    pytest.param(Reply(429, {"Retry-After": "7"}, b"{}"), 7.0, id="429"),
    pytest.param(
        Reply(429, {"Retry-After": IN_TEN_HOURS}, b"{}"),
        pytest.approx(36000, rel=0.5),
        id="429-date",
    ),
    pytest.param(Reply(429), None, id="429-says-nothing"),
    pytest.param(Reply(503, {"Retry-After": "2"}, b"busy"), 2.0, id="503"),
    *[pytest.param(Reply(status), None, id=str(status)) for status in (408, 425, 500, 502, 504)],
    pytest.param(Reply(fault="reset"), None, id="reset"),
    pytest.param(Reply(headers=JSON, body=b'{"a": 1}' * 99, fault="cut"), None, id="cut"),
    pytest.param(Reply(body=b"<html>a proxy</html>"), None, id="html"),
    pytest.param(Reply(headers=JSON, body=b'{"text": '), None, id="half-json"),
]
STAYING = [
    # With the key on its way to wherever the provider says.
    pytest.param(Reply(307, {"Location": "/elsewhere"}), id="redirect"),
    *[
        pytest.param(
            Reply(status, JSON, b'{"error": {"message": "' + KEY.encode() + b'"}}'), id=name
        )
        for status, name in (
            *((400, "bad"), (402, "unpaid"), (403, "forbidden"), (404, "unknown")),
            *((413, "large"), (422, "odd")),
        )
    ],
]


def account(base_url: str, key: str = KEY, **more: Any) -> Account:
    return Account(api_key=Secret(key), base_url=base_url, **more)


def shortest_sentence(messages: Sequence[Mapping[str, Any]]) -> str:
    """A summary, as small as they come."""
    text = str(messages[-1]["content"])
    sentences = [part.strip() for part in text.split(".") if part.strip()]
    return min(sentences, key=len) + "."


def letters(text: str) -> list[float]:
    """How often each letter occurs: what has the same letters is near."""
    counted = Counter(text.lower())
    return [float(counted[chr(ord("a") + index % 26)]) for index in range(1536)]


def check_error(error: BaseException) -> None:
    """It says nothing that is nobody's business."""
    shown = repr(error) + repr(error.__cause__)
    assert KEY not in shown
    assert WRONG not in shown
    assert not re.search("refund|delivery", shown)


def passing(caught: pytest.ExceptionInfo[Retryable], wait: float | None) -> None:
    check_error(caught.value)
    assert caught.value.retry_after == wait
    assert isinstance(caught.value, Throttled) == ("status 429" in str(caught.value))


def staying(caught: pytest.ExceptionInfo[Permanent]) -> None:
    check_error(caught.value)


async def counted(name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    text, _ = await asyncio.to_thread(metrics.render)
    return sum(
        sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == f"vconflow_{name}" and labels.items() <= sample.labels.items()
    )
