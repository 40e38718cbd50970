"""The link `diet`: a real S3, a real HTTP server, and what is left of a vCon."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import msgspec
import pytest

from vconflow.adapters.http import open_http
from vconflow.adapters.objects import S3Objects
from vconflow.errors import Permanent, Retryable
from vconflow.links.diet import DietLink
from vconflow.model.hashes import hash_of
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources, Secret
from vconflow.ports.link import CONTINUE, LinkRun
from vconflow.ports.objects import BucketAccess
from vconflow.testing.contracts import LinkContract, resources_for
from vconflow.testing.memory_objects import MemoryObjects
from vconflow.testing.webhook_receiver import Reply, WebhookReceiver

UUID = new_uuid("diet")
SOUND = bytes(range(256))
PROMPT = {"system_prompt": "You are a pirate.", "n": 1}


def b64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


RECORDING = {
    "type": "recording",
    "start": "2024-03-14T09:26:53Z",
    "parties": [0],
    "mediatype": "audio/x-wav; rate=8000",
    "body": b64url(SOUND),
    "encoding": "base64url",
}
TEXT = {
    "type": "text",
    "start": "2024-03-14T09:26:53Z",
    "parties": [0],
    "mediatype": "text/plain",
    "body": "Grüße",
    "encoding": "none",
}


class TestDietContract(LinkContract):
    link_class = DietLink
    link_options: ClassVar = {
        "remove_dialog_body": True,
        "s3_bucket": "media",
        "remove_analysis": True,
        "remove_attachment_types": ["image/*"],
        "remove_system_prompts": True,
    }
    changes = frozenset({"dialog", "analysis"})


class TestDietThatPostsContract(LinkContract):
    link_class = DietLink
    link_options: ClassVar = {"remove_dialog_body": True, "post_media_to_url": "http://media/"}
    changes = frozenset({"dialog"})

    @pytest.fixture
    def resources(self, tmp_path: Path) -> Resources:
        resources = resources_for(tmp_path)
        resources.http.answers["http://media/"] = b'{"url": "https://media/1"}'  # type: ignore[attr-defined]
        return resources


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """With the real HTTP client, and buckets in memory."""
    async with open_http() as http:
        yield replace(resources_for(tmp_path), http=http)


def vcon_of(*dialogs: dict[str, Any], version: str = "0.4.0", **more: Any) -> Vcon:
    document = {"vcon": version, "uuid": UUID, "created_at": "2024-03-14T09:26:53Z"}
    document |= {"parties": [{"name": "a"}], "dialog": dialogs}
    return Vcon(msgspec.json.encode(document | more))


async def slim(vcon: Vcon, resources: Resources, **options: Any) -> Vcon:
    """Run the link, and check that a second run changes nothing."""
    async with opened(resources, **options) as link:
        assert await link(vcon, run()) == CONTINUE
        again = Vcon(vcon.to_bytes())
        await link(again, run())
    assert not again.changed
    validate(vcon.to_bytes())
    return vcon


@asynccontextmanager
async def opened(resources: Resources, **options: Any) -> AsyncIterator[DietLink]:
    given = msgspec.convert(options, DietLink.options, strict=False)
    async with DietLink.open(given, resources) as link:  # type: ignore[arg-type]  # its own
        yield link


def run() -> LinkRun:
    return LinkRun("l", "c", "in", "5-1")


# bodies


async def test_without_options_nothing_goes(resources: Resources) -> None:
    vcon = vcon_of(RECORDING, TEXT, analysis=[{"type": "x", "vendor": "y", "body": PROMPT}])
    assert not (await slim(vcon, resources)).changed


async def test_bodies_just_go(resources: Resources) -> None:
    vcon = await slim(vcon_of(RECORDING, TEXT), resources, remove_dialog_body=True)
    for dialog, before in zip(vcon.dialog, (RECORDING, TEXT), strict=True):
        kept = {name: value for name, value in before.items() if name not in ("body", "encoding")}
        assert dialog == kept


@pytest.mark.parametrize("version", ["0.0.1", "0.4.0"])
async def test_bodies_go_to_s3(resources: Resources, s3_access: BucketAccess, version: str) -> None:
    resources = replace(resources, objects=S3Objects())
    options = {
        "remove_dialog_body": True,
        "s3_bucket": s3_access.bucket,
        "s3_path": "dialogs/",
        "aws_access_key_id": s3_access.access_key_id,
        "aws_secret_access_key": s3_access.secret_access_key,
        "aws_region": s3_access.region,
        "endpoint_url": s3_access.endpoint_url,
        "presigned_url_expiration": 60,
    }
    media = "mimetype" if version == "0.0.1" else "mediatype"
    recording, text = (
        {media if name == "mediatype" else name: value for name, value in dialog.items()}
        for dialog in (RECORDING, TEXT)
    )
    vcon = await slim(vcon_of(recording, text, version=version), resources, **options)
    hashes = [hash_of(SOUND), hash_of("Grüße".encode())]
    for dialog, content_hash in zip(vcon.dialog, hashes, strict=True):
        assert "body" not in dialog
        if version == "0.0.1":
            assert (dialog["alg"], f"sha512-{dialog['signature']}") == ("SHA-512", content_hash)
        else:
            assert dialog["content_hash"] == content_hash
    async with httpx.AsyncClient() as client:
        answers = [await client.get(dialog["url"]) for dialog in vcon.dialog]
    assert [answer.content for answer in answers] == [SOUND, "Grüße".encode()]
    assert [answer.headers["content-type"] for answer in answers] == ["audio/x-wav", "text/plain"]
    assert f"/dialogs/{UUID}/dialog-0-" in vcon.dialog[0]["url"]
    assert ".wav?" in vcon.dialog[0]["url"]


async def test_another_attempt_puts_it_in_the_same_place(resources: Resources) -> None:
    for _ in range(2):
        await slim(vcon_of(RECORDING, TEXT), resources, remove_dialog_body=True, s3_bucket="b")
    assert isinstance(resources.objects, MemoryObjects)
    keys = list(resources.objects.buckets["b"].objects)
    assert len(keys) == 2
    assert all(key.startswith(f"{UUID}/dialog-") for key in keys)


async def test_a_body_that_did_not_arrive_stays(
    resources: Resources, s3_access: BucketAccess
) -> None:
    resources = replace(resources, objects=S3Objects())
    options = {
        "remove_dialog_body": True,
        "s3_bucket": s3_access.bucket,
        "aws_access_key_id": s3_access.access_key_id,
        "aws_secret_access_key": Secret("s3cr3t"),
        "endpoint_url": s3_access.endpoint_url,
    }
    vcon = vcon_of(RECORDING)
    async with opened(resources, **options) as link:
        with pytest.raises(Retryable, match=r"^dialog\[0\]: ") as caught:
            await link(vcon, run())
    assert "s3cr3t" not in str(caught.value)
    assert not vcon.changed
    options["endpoint_url"] = "http://127.0.0.1:9"
    async with opened(resources, **options) as link:
        with pytest.raises(Retryable, match=r"^dialog\[0\]: "):
            await link(vcon, run())
    assert not vcon.changed


async def test_bodies_are_posted(resources: Resources, receiver: WebhookReceiver) -> None:
    receiver.answer(
        Reply(body=b'{"url": "https://media.example/1"}'),
        Reply(201, body=b'{"url": "https://media.example/1"}'),
    )
    dialog = RECORDING | {"id": "call-1", "mediatype": "audio/x-wav"}
    vcon = vcon_of(dialog)
    options = {"remove_dialog_body": True, "post_media_to_url": f"{receiver.url}/up?key=1"}
    await slim(vcon, resources, **options)
    assert vcon.dialog[0]["url"] == "https://media.example/1"
    assert vcon.dialog[0]["content_hash"] == hash_of(SOUND)
    (received,) = receiver.received
    assert received.path == "/up?key=1"
    assert json.loads(received.body) == {
        "content": RECORDING["body"],
        "vcon_uuid": UUID,
        "dialog_id": "call-1",
        "dialog_index": 0,
        "encoding": "base64url",
        "mediatype": "audio/x-wav",
    }
    await slim(vcon_of(dialog), resources, **options)
    keys = {received.headers["idempotency-key"] for received in receiver.received}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply(503, {"Retry-After": "9"}), Retryable),
        (Reply(403), Permanent),
        (Reply(200, body=b"{}"), Permanent),
        (Reply(200, body=b"<html>"), Permanent),
        (Reply(200, body=b'{"url": 1}'), Permanent),
        (Reply(fault="reset"), Retryable),
    ],
)
async def test_what_could_not_be_posted_stays(
    resources: Resources, receiver: WebhookReceiver, reply: Reply, failure: type[Exception]
) -> None:
    receiver.answer(reply)
    vcon = vcon_of(RECORDING)
    url = f"{receiver.url}/secret-path"
    options = {"remove_dialog_body": True, "post_media_to_url": url}
    async with opened(resources, **options) as link:
        with pytest.raises(failure, match=r"^dialog\[0\]: ") as caught:
            await link(vcon, run())
    assert getattr(caught.value, "retry_after", None) == (9 if reply.status == 503 else None)
    assert "secret-path" not in str(caught.value)
    assert not vcon.changed


async def test_a_body_that_cannot_be_read_stays(resources: Resources) -> None:
    vcon = vcon_of(RECORDING | {"body": "abcde"}, RECORDING)
    async with opened(resources, remove_dialog_body=True, s3_bucket="b") as link:
        with pytest.raises(Permanent, match=r"^dialog\[0\]: the body is no base64url$"):
            await link(vcon, run())
    assert vcon.dialog[0]["body"] == "abcde"


async def test_odd_bodies(resources: Resources) -> None:
    """A JSON one, one of old without an encoding, an empty one, one the reference moved."""
    dialogs = (
        {"type": "text", "mediatype": "application/json", "body": {"a": 1.10}, "encoding": "json"},
        {"type": "recording", "mimetype": "audio/mp3", "body": base64.b64encode(SOUND).decode()},
        {"type": "text", "mediatype": "text/plain", "body": "", "encoding": "none"},
        {"type": "recording", "mediatype": "a/b", "body": "https://x.example", "body_type": "url"},
    )
    document = vcon_of(*dialogs).to_bytes().replace(b'{"a":1.1}', b'{"a":1.10}')
    async with opened(resources, remove_dialog_body=True, s3_bucket="b") as link:
        vcon = Vcon(document)
        await link(vcon, run())
    assert isinstance(resources.objects, MemoryObjects)
    stored = resources.objects.buckets["b"].objects.values()
    assert sorted(found.content for found in stored) == [SOUND, b'{"a":1.10}']
    assert ["url" in dialog for dialog in vcon.dialog] == [True, True, False, False]
    assert "body" not in vcon.dialog[2]
    assert vcon.dialog[3] == dialogs[3]


# parts


async def test_analysis_goes(resources: Resources) -> None:
    vcon = vcon_of(RECORDING, analysis=[{"type": "transcript", "vendor": "x", "body": "y"}])
    assert (await slim(vcon, resources, remove_analysis=True)).raw("analysis") is None


async def test_attachments_go_and_analysis_points_on(resources: Resources) -> None:
    told = {"start": "2024-03-14T09:26:53Z", "party": 0, "dialog": 0, "purpose": "p"}
    attachments = [
        {**told, "mediatype": "image/jpeg", "body": "AA", "encoding": "base64url"},
        {**told, "mediatype": "text/plain", "body": "a", "encoding": "none"},
        {**told, "mediatype": "Image/PNG; x=1", "body": "AA", "encoding": "base64url"},
        {**told, "mediatype": "text/plain", "body": "b", "encoding": "none"},
    ]
    analysis = [
        {"type": "a", "vendor": "v", "attachment": at, "body": "x", "encoding": "none"}
        for at in (0, 1, 3, [0, 1, 2, 3], [2])
    ]
    vcon = vcon_of(TEXT, attachments=attachments, analysis=analysis)
    await slim(vcon, resources, remove_attachment_types=["image/jpeg", "image/png"])
    assert [item["body"] for item in vcon.attachments] == ["a", "b"]
    assert [item.get("attachment") for item in vcon.analysis] == [None, 0, 1, [0, 1], None]


async def test_system_prompts_go_wherever_they_are(resources: Resources) -> None:
    deep: Any = PROMPT
    for _ in range(400):
        deep = [{"x": deep}]
    document = vcon_of(
        TEXT | {"meta": {"inner": [PROMPT]}},
        analysis=[{"type": "a", "vendor": "v", "body": {"deep": deep}, "encoding": "json"}],
        system_prompt="Obey.",
        meta={"keep": [1], "system_prompt": None},
        other={"n": 1.5},
    ).to_bytes()
    document = document.replace(b'"other":{"n":1.5}', b'"other": {"n":1.50}')
    vcon = Vcon(document)
    await slim(vcon, resources, remove_system_prompts=True)
    assert b"system_prompt" not in vcon.to_bytes()
    assert b"pirate" not in vcon.to_bytes()
    assert vcon.get("meta") == {"keep": [1]}
    assert vcon.raw("other") == b'{"n":1.50}'
    assert vcon.dialog[0]["meta"] == {"inner": [{"n": 1}]}


@pytest.mark.parametrize("name", ["ab_call_ext_rec_signed", "ab_call_ext_rec_encrypted"])
async def test_what_cannot_be_changed_is_not_moved(
    resources: Resources, shared_data: Path, name: str
) -> None:
    vcon = Vcon((shared_data / "ietf" / f"{name}.vcon").read_bytes())
    async with opened(resources, remove_dialog_body=True, s3_bucket="b") as link:
        with pytest.raises(Permanent, match=name.rpartition("_")[2]):
            await link(vcon, run())
    assert isinstance(resources.objects, MemoryObjects)
    assert resources.objects.buckets["b"].objects == {}


@pytest.mark.parametrize(
    "raw",
    [{"post_media_to_url": "ftp://x"}, {"presigned_url_expiration": 0}, {"s3_buckets": "x"}],
)
def test_options_that_are_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, DietLink.options)
