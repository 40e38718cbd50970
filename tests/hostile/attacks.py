"""What is tried, and what must hold whatever is tried. Used by the tests and by `make fuzz`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from raw import exchange, request, statuses
from stage import Stage
from strategies import MARK, PLACEHOLDER, Request, hostile_json, lines, mutated, requests, written

from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate

__all__ = ["ATTACKS", "attack", "conversations"]


def conversations(data: Path) -> list[bytes]:
    """Real conversations to begin with: some of the sample ones, and those of the drafts."""
    found = (data / "conversations.ndjson").read_bytes().splitlines()[:40]
    found += [path.read_bytes() for path in sorted((data / "ietf").rglob("*.vcon"))]
    return [body for body in found if len(body) < 50_000 and _is_object(body)]


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def one_vcon(stage: Stage, body: bytes) -> None:
    """POST /vcon keeps it byte for byte, or refuses it, says why and keeps nothing."""
    uuid = new_uuid("fuzz")
    body = body.replace(PLACEHOLDER.encode(), uuid.encode())
    reply = stage.post(body)
    as_partner = stage.post_as_partner(body)
    assert reply.status_code in (201, 422), (reply.status_code, reply.text[:300])
    if reply.status_code == 201:
        assert reply.content == body
        assert as_partner.status_code == 409  # it is ours already
        assert stage.stored(validate(body).uuid) == body
    else:
        assert as_partner.status_code == 422
        assert MARK not in reply.text
        assert MARK not in as_partner.text
        assert all({"loc", "msg", "type"} == set(it) for it in reply.json()["detail"])
        assert stage.stored(uuid) is None


def any_json(stage: Stage, value: Any) -> None:
    """The same for JSON that is no vCon at all; and every other route refuses or understands it."""
    body = written(value, ascii_only=True)
    one_vcon(stage, body)
    for path in _TAKING_JSON:
        stage.tried += 1
        reply = stage.client.post(path, content=body, headers={"content-type": "application/json"})
        stage.answers[reply.status_code] += 1
        assert reply.status_code < 500, (path, reply.text[:300])


_TAKING_JSON = (
    "/vcon/ingress?ingress_list=inbox",
    "/chain/main/ingress",
    "/dead-letters/replay",
    "/egress/done/ack",
)


def many_lines(stage: Stage, body: bytes) -> None:
    """A bulk load takes or reports every line that is not blank."""
    body = body.replace(PLACEHOLDER.encode(), new_uuid("fuzz").encode())
    expected = sum(1 for line in body.split(b"\n") if line.strip())
    stage.tried += max(expected, 1)
    headers = {"content-type": "application/x-ndjson"}
    reply = stage.client.post("/vcons", content=body, headers=headers)
    stage.answers[reply.status_code] += 1
    assert reply.status_code == 200, reply.text[:300]
    report = reply.json()
    assert report["accepted"] + report["rejected_count"] == expected
    assert MARK not in reply.text


def any_request(stage: Stage, sent: Request) -> None:
    """Whatever it is, the answer is no 5xx and holds no line of the request's own."""
    stage.tried += 1
    raw = request(sent.method, sent.target, sent.headers, sent.body)
    received = exchange(stage.address, raw)
    stage.answers.update(statuses(received))
    assert all(status < 500 for status in statuses(received)), received[:300]
    assert b"\nx-evil" not in received.partition(b"\r\n\r\n")[0].lower()


ATTACKS: dict[
    str, tuple[Callable[[list[bytes]], SearchStrategy[Any]], Callable[[Stage, Any], None]]
] = {
    "mutated conversations": (mutated, one_vcon),
    "hostile JSON": (lambda _: hostile_json(), any_json),
    "bulk loads": (lines, many_lines),
    "requests": (lambda _: requests(), any_request),
}
"""By name: what is drawn from the conversations, and what each case is put to."""


def attack(name: str, stage: Stage, start: list[bytes], number: int, cases: int) -> None:
    """Try so many cases of one kind, the same ones for the same seed `number`.

    Raises AssertionError with the smallest case that is answered wrongly.
    """
    strategy, check = ATTACKS[name]

    @given(strategy(start))
    def once(case: Any) -> None:
        check(stage, case)

    limits = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    seed(number)(limits(once))()
