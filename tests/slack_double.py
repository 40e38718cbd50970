"""A loopback server that speaks the part of Slack's web API that posts messages."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from vconflow.testing.webhook_receiver import Received, Reply, webhook_receiver

__all__ = ["SlackDouble", "slack_double"]

TOKEN = "xoxb-geheim"
_JSON = {"Content-Type": "application/json; charset=utf-8"}


@dataclass
class SlackDouble:
    """Takes messages to `channels` from whoever has TOKEN; first it answers with `trouble`."""

    channels: set[str] = field(default_factory=lambda: {"alerts"})
    trouble: list[Reply] = field(default_factory=list)
    posted: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    hangs_at: int = -1
    """After how many messages one request gets no answer, once."""
    base_url: str = ""

    def decide(self, received: Received) -> Reply:
        """Answer one request as Slack does: 200, and what went wrong in the body."""
        self.asked += 1
        if len(self.posted) == self.hangs_at:
            self.hangs_at = -1
            return Reply(fault="hang")
        if self.trouble:
            return self.trouble.pop(0)
        if received.path != "/api/chat.postMessage":
            return answer(error="unknown_method")
        if received.headers.get("authorization") != f"Bearer {TOKEN}":
            return answer(error="invalid_auth")
        if not received.headers["content-type"].startswith("application/json"):
            return answer(error="invalid_form_data")
        message = json.loads(received.body)
        if message["channel"] not in self.channels:
            return answer(error="channel_not_found")
        if any(len(text) > 3000 for text in _texts(message)):
            return answer(error="invalid_blocks")
        self.posted.append(message)
        return answer(channel="C1", ts=f"1700000000.{len(self.posted):06}", message={"text": "x"})


def answer(error: str = "", **members: Any) -> Reply:
    """What Slack says."""
    body = {"ok": False, "error": error} if error else {"ok": True, **members}
    return Reply(headers=_JSON, body=json.dumps(body).encode())


@contextmanager
def slack_double() -> Iterator[SlackDouble]:
    """Run one on a free port."""
    double = SlackDouble()
    with webhook_receiver(double.decide) as receiver:
        double.base_url = f"{receiver.url}/api"
        yield double


def _texts(message: dict[str, Any]) -> list[str]:
    return [block["text"]["text"] for block in message.get("blocks", [])]
