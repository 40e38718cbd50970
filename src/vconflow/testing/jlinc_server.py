"""A loopback server that answers as the JLINC data store does, and misbehaves on request."""

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from vconflow.testing.webhook_receiver import Received, Reply, webhook_receiver

__all__ = ["JlincServer", "jlinc_server"]

_PREFIX = "/api/v1/data/"
_NIL = "00000000-0000-0000-0000-000000000000"


class JlincServer:
    """Identities and events in memory, for whoever has `key`.

    `entities` are the short names that exist, `events` what was produced, `asked` the paths of all
    requests. With `trouble` every request is answered with that; all other answers are given after
    `delay` seconds.
    """

    def __init__(self, key: str, domain: str) -> None:
        self.url = ""
        self.key = key
        self.domain = domain
        self.entities: set[str] = set()
        self.events: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.trouble: Reply | None = None
        self.delay = 0.0
        self._lock = threading.Lock()

    def decide(self, received: Received) -> Reply:
        """Answer one request."""
        with self._lock:
            self.asked.append(received.path.removeprefix(_PREFIX))
            if self.trouble is not None:
                return self.trouble
            if received.headers.get("authorization") != f"Bearer {self.key}":
                return _said({"error": "unauthorized"}, 401)
            body = json.loads(received.body, parse_float=_number)
            reply = self._answer(received.path.removeprefix(_PREFIX), body)
            return replace(reply, delay=self.delay)

    def way(self, uuid: str) -> list[tuple[str, str]]:
        """Sender and recipient of every event of a vCon, without prefix and domain, in order."""
        with self._lock:
            return [
                (_bare(event["senderShortName"]), _bare(event["recipientShortName"]))
                for event in self.events
                if event["meta"]["out_vcon_uuid"] == uuid
            ]

    def _answer(self, path: str, body: dict[str, Any]) -> Reply:
        match path:
            case "entity/domains/get":
                return _said([self.domain])
            case "entity/get":
                return self._entity(body["shortName"])
            case "entity/create":
                return self._create(body["shortName"])
            case "event/produce":
                return self._produce(body)
            case _:
                return _said({"error": "not found"}, 404)

    def _entity(self, name: str) -> Reply:
        if name not in self.entities:
            return _said({"error": "no such entity"}, 404)
        return _said({"didDoc": {"id": f"did:jlinc:{self.domain}:{name}", "shortName": name}})

    def _create(self, name: str) -> Reply:
        if name in self.entities or not name.endswith(f"@{self.domain}"):
            return _said({"error": "this short name cannot be taken"}, 400)
        self.entities.add(name)
        return self._entity(name)

    def _produce(self, event: dict[str, Any]) -> Reply:
        named = {event["senderShortName"], event["recipientShortName"]}
        if not named <= self.entities or event["type"] != "data" or event["agreementId"] != _NIL:
            return _said({"error": "unknown identity, type or agreement"}, 400)
        self.events.append(event)
        created = {"version": 1, "eventId": f"event-{len(self.events)}", "data": event["data"]}
        return _said({"created": created, "processed": {"auditData": {"meta": event["meta"]}}})


def _number(text: str) -> float | None:
    """Of a number that is too large nothing is left when it is written again."""
    number = float(text)
    return number if math.isfinite(number) else None


def _said(answer: object, status: int = 200) -> Reply:
    headers = {"Content-Type": "application/json"}
    return Reply(status, headers, json.dumps(answer).encode())


def _bare(name: str) -> str:
    return name.partition("@")[0].partition("-")[2]


@contextmanager
def jlinc_server(key: str = "jlinc-key", domain: str = "vcon.local") -> Iterator[JlincServer]:
    """Run one on a free port in a thread of its own."""
    server = JlincServer(key, domain)
    with webhook_receiver(server.decide) as receiver:
        server.url = receiver.url
        yield server
