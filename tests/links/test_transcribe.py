"""The links that transcribe, with the real clients of vendors on loopback servers of their APIs."""

import asyncio
import base64
import io
import re
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vconflow.adapters.fetch import open_fetcher
from vconflow.adapters.providers import Environment, ProviderOptions, open_providers
from vconflow.config import load
from vconflow.config.masking import mask
from vconflow.errors import ConfigError, Permanent, Retryable, Throttled, Unavailable
from vconflow.links.deepgram_link import DeepgramLink
from vconflow.links.groq_whisper import GroqWhisperLink
from vconflow.links.hugging_face_whisper import HuggingFaceWhisperLink
from vconflow.links.openai_transcribe import OpenaiTranscribeLink
from vconflow.links.transcribe import TranscribeLink
from vconflow.model.hashes import hash_of
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources, Secret
from vconflow.ports.link import CONTINUE, Link, LinkRun
from vconflow.ports.providers import Account
from vconflow.testing.contracts import LinkContract, resources_for
from vconflow.testing.providers import (
    ProviderServer,
    Reply,
    deepgram_server,
    hugging_face_server,
    openai_server,
)
from vconflow.testing.raw_http_server import RawHttpServer, body_of, raw_http_server
from vconflow.testing.speech import Heard, Unheard, Word, speak, whisper

KEY = "sk-right-key"
LINKS: dict[str, Any] = {
    "deepgram": DeepgramLink,
    "openai": OpenaiTranscribeLink,
    "groq": GroqWhisperLink,
    "hugging_face": HuggingFaceWhisperLink,
}
KEY_NAMES = {
    "deepgram": "DEEPGRAM_KEY",
    "openai": "OPENAI_API_KEY",
    "groq": "API_KEY",
    "hugging_face": "API_KEY",
}


def hear(recording: bytes) -> Heard:
    """Says how long it was; `low` is hard to understand, `bad` is no recording."""
    if recording.startswith(b"bad"):
        raise Unheard
    confidence = 0.3 if recording.startswith(b"low") else 0.9
    word = Word(f"{len(recording)}", 0.0, 1.0, confidence)
    return Heard(word.word, (word,), 90.0)


@dataclass
class Vendor:
    """A vendor's server, and how its link is told of it."""

    name: str
    server: ProviderServer
    options: dict[str, Any]

    @property
    def link(self) -> Any:
        return LINKS[self.name]


@pytest.fixture
def vendors() -> Iterator[dict[str, Vendor]]:
    with ExitStack() as stack:
        yield {name: start(stack, name, hear) for name in LINKS}


@pytest.fixture
def deepgram() -> Iterator[Vendor]:
    with ExitStack() as stack:
        yield start(stack, "deepgram", hear)


def start(stack: ExitStack, name: str, listen: Any) -> Vendor:
    server: Any
    if name == "deepgram":
        server = stack.enter_context(deepgram_server(listen, keys={KEY}))
    elif name == "hugging_face":
        server = stack.enter_context(hugging_face_server(listen, keys={KEY}))
    else:
        server = stack.enter_context(openai_server(hear=listen, keys={KEY}))
    url = server.base_url if name in ("openai", "groq") else server.url
    place = "API_URL" if name == "hugging_face" else "base_url"
    return Vendor(name, server, {KEY_NAMES[name]: Secret(KEY), place: url})


ACCOUNTS = Environment(
    Account(api_key=Secret(KEY)),
    {name: Secret(KEY) for name in ("deepgram", "groq", "hugging_face")},
)


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    """The real clients, on loopback."""
    async with AsyncExitStack() as stack:
        providers = await stack.enter_async_context(open_providers())
        offline = resources_for(tmp_path / "data", providers=providers)
        fetcher = await stack.enter_async_context(open_fetcher(["127.0.0.1"]))
        yield replace(offline, fetcher=fetcher)


@pytest.fixture
async def media() -> AsyncIterator[RawHttpServer]:
    async with raw_http_server() as server:
        yield server


@dataclass
class Run(LinkRun):
    """A run that knows what was kept: the number of analyses at each time."""

    vcon: Vcon | None = None
    kept: list[int] = field(default_factory=list)
    failure: Exception | None = None

    async def keep(self) -> None:
        assert self.vcon is not None
        self.kept.append(len(self.vcon.analysis))
        if self.failure is not None:
            raise self.failure


def run_on(vcon: Vcon, failure: Exception | None = None) -> Run:
    return Run("l", "c", "in", "5-1", vcon=vcon, failure=failure)


@asynccontextmanager
async def opened(
    link_class: Any, resources: Resources, options: dict[str, Any]
) -> AsyncIterator[Link]:
    given = msgspec.convert(options, link_class.options, strict=False)
    async with link_class.open(given, resources) as link:
        yield link


async def transcribed(
    vendor: Vendor, resources: Resources, *dialogs: dict[str, Any], **options: Any
) -> Vcon:
    vcon = vcon_of(*dialogs)
    async with opened(vendor.link, resources, vendor.options | options) as link:
        assert await link(vcon, run_on(vcon)) == CONTINUE
    return vcon


async def failure_of(
    vendor: Vendor, resources: Resources, vcon: Vcon, **options: Any
) -> Retryable | Permanent:
    async with opened(vendor.link, resources, vendor.options | options) as link:
        with pytest.raises((Retryable, Permanent)) as caught:
            await link(vcon, run_on(vcon))
    assert isinstance(caught.value, Retryable | Permanent)
    assert KEY not in str(caught.value)
    return caught.value


def vcon_of(*dialogs: dict[str, Any], version: str = "0.4.0", **more: Any) -> Vcon:
    document = {"vcon": version, "uuid": new_uuid("t"), "created_at": "2024-03-14T09:26:53Z"}
    return Vcon(msgspec.json.encode({**document, "parties": [{}], "dialog": dialogs, **more}))


def inline(content: bytes, **members: Any) -> dict[str, Any]:
    body = base64.urlsafe_b64encode(content).decode().rstrip("=")
    told = {"type": "recording", "start": "2024-03-14T09:26:53Z", "mediatype": "audio/x-wav"}
    return {**told, "body": body, "encoding": "base64url", "duration": 90, **members}


def at(url: str, **members: Any) -> dict[str, Any]:
    return {"type": "recording", "start": "2024-03-14T09:26:53Z", "url": url, **members}


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# the contract


class OfTranscription(LinkContract):
    """What the contract asks of all of them."""

    vendor = "deepgram"
    changes = frozenset({"analysis"})

    @pytest.fixture(autouse=True)
    def _server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with ExitStack() as stack:
            options = self.of(start(stack, self.vendor, hear))
            monkeypatch.setattr(type(self), "link_options", options)
            yield

    def of(self, vendor: Vendor) -> dict[str, Any]:
        return vendor.options

    @pytest.fixture
    async def resources(self, tmp_path: Path) -> AsyncIterator[Resources]:
        async with open_providers(ProviderOptions(environment=ACCOUNTS)) as providers:
            yield resources_for(tmp_path, providers=providers)

    @pytest.fixture
    def document(self) -> bytes:
        text = {"type": "text", "body": "x", "encoding": "none"}
        return vcon_of(inline(b"one"), inline(b"three"), text, meta={"n": 1.10}).to_bytes()


class TestDeepgramContract(OfTranscription):
    link_class = DeepgramLink


class TestOpenaiTranscribeContract(OfTranscription):
    link_class = OpenaiTranscribeLink
    vendor = "openai"


class TestGroqWhisperContract(OfTranscription):
    link_class = GroqWhisperLink
    vendor = "groq"


class TestHuggingFaceWhisperContract(OfTranscription):
    link_class = HuggingFaceWhisperLink
    vendor = "hugging_face"


class TestTranscribeContract(OfTranscription):
    link_class = TranscribeLink

    def of(self, vendor: Vendor) -> dict[str, Any]:
        return {"vendor": vendor.name, "vendor_options": vendor.options}


# what is reported


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("recording", [b"one", b"low"])
async def test_what_was_used_is_reported_to_the_portal_once(
    vendors: dict[str, Vendor], resources: Resources, name: str, recording: bytes
) -> None:
    url, vendor = "https://portal.example/usage", vendors[name]
    told = {"send_ai_usage_data_to_url": url, "ai_usage_api_token": Secret("portal-token")}
    options = {"vendor": name, "vendor_options": vendor.options | told}
    resources.http.errors[url] = Permanent("gone")  # type: ignore[attr-defined]
    vcon = vcon_of(inline(recording))
    async with opened(TranscribeLink, resources, options) as link:
        assert await link(vcon, run_on(vcon)) == CONTINUE
    (post,) = resources.http.posts  # type: ignore[attr-defined]
    assert post.headers["authorization"] == "Bearer portal-token"
    report = msgspec.json.decode(post.content)
    assert (report["record_id"], report["type"]) == (vcon.uuid, "VCON_PROCESSING")
    assert report["sub_type"] == f"{name.upper()}_TRANSCRIBE"
    assert bool(vcon.analysis) == (recording == b"one" or name != "deepgram")
    if name == "deepgram":
        units = (report["unit_type"], report["input_units"], report["output_units"])
        assert units == ("seconds", 90, 0)


# what becomes of a vCon


BODIES: dict[str, Any] = {
    "deepgram": {
        "transcript": "3",
        "confidence": 0.9,
        "words": [
            {"word": "3", "start": 0.0, "end": 1.0, "confidence": 0.9, "punctuated_word": "3"}
        ],
        "detected_language": "en",
    },
    "openai": {"text": "3"},
    "groq": {"text": "3"},
    "hugging_face": {"text": "3"},
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("by", ["its own link", "transcribe"])
async def test_an_analysis_is_as_the_reference_writes_it(
    vendors: dict[str, Vendor], resources: Resources, name: str, by: str
) -> None:
    vendor = vendors[name]
    if by == "transcribe":
        options = {"vendor": name, "vendor_options": vendor.options}
        link_class: Any = TranscribeLink
    else:
        options, link_class = vendor.options, vendor.link
    vcon = vcon_of({"type": "incomplete", "disposition": "busy"}, inline(b"one"))
    async with opened(link_class, resources, options) as link:
        await link(vcon, run_on(vcon))
    (analysis,) = vcon.analysis
    usage = analysis.pop("usage")
    body = analysis.pop("body")
    assert body.items() >= BODIES[name].items()
    schema = analysis.pop("vendor_schema")
    assert KEY not in str(schema)
    assert schema["opts"]["minimum_duration"] in (3, 30, 60)
    vendor_name = {"groq": "groq_whisper", "hugging_face": "hugging_face_whisper"}.get(name, name)
    assert analysis == {
        "type": "transcript",
        "dialog": 1,
        "vendor": vendor_name,
        "product": usage["model"],
        "encoding": "json",
    }
    assert usage["provider"] == name
    assert usage["audio_seconds"] == 90
    assert (usage["cost"] > 0) == (name != "hugging_face") if "cost" in usage else True
    validate(vcon.to_bytes())


async def test_an_older_vcon_gets_it_in_its_own_names(
    deepgram: Vendor, resources: Resources
) -> None:
    vcon = vcon_of(inline(b"one"), version="0.0.1", updated_at="2024-03-14T09:26:53Z")
    async with opened(DeepgramLink, resources, deepgram.options) as link:
        await link(vcon, run_on(vcon))
    assert vcon.analysis[0]["body"]["transcript"] == "3"
    validate(vcon.to_bytes())


async def test_recordings_by_url(
    deepgram: Vendor, resources: Resources, media: RawHttpServer
) -> None:
    media.answers["/a.wav"] = body_of(b"there", "audio/wav")
    url = media.url("/a.wav")
    vcon = await transcribed(deepgram, resources, at(url, content_hash=hash_of(b"there")))
    assert vcon.analysis[0]["body"]["transcript"] == "5"
    (call,) = deepgram.server.calls
    assert call.recording == b"there"
    assert call.headers["content-type"] == "audio/wav"
    assert files_in(resources.data_dir) == []


async def test_the_vendor_may_fetch_itself(
    deepgram: Vendor, resources: Resources, media: RawHttpServer
) -> None:
    media.answers["/a.wav"] = body_of(b"there", "audio/wav")
    url = media.url("/a.wav")
    dialogs = at(url), at(url, content_hash=hash_of(b"there")), inline(b"one")
    vcon = await transcribed(deepgram, resources, *dialogs, provider_fetches=True)
    assert len(vcon.analysis) == 3
    assert sorted(call.recording for call in deepgram.server.calls) == [b"", b"one", b"there"]
    failure = await failure_of(
        deepgram, resources, vcon_of(at(media.url(host="127.0.0.2"))), provider_fetches=True
    )
    assert "private" in str(failure)
    assert len(deepgram.server.calls) == 3


@pytest.mark.parametrize(
    "dialog",
    [
        {"type": "text", "body": "AAAA", "encoding": "base64url"},
        {"type": "incomplete", "disposition": "busy"},
        {"type": "recording", "url": "", "content_hash": "sha512-x"},
        inline(b"one", duration=59.9),
        inline(b"one", duration=0),
    ],
)
async def test_what_there_is_nothing_to_transcribe_of(
    deepgram: Vendor, resources: Resources, dialog: dict[str, Any]
) -> None:
    vcon = await transcribed(deepgram, resources, dialog)
    assert not vcon.changed
    assert deepgram.server.calls == []


async def test_a_short_wav_that_does_not_say_so(deepgram: Vendor, resources: Resources) -> None:
    dialog = inline(speak("Good morning."), duration=None)
    assert not (await transcribed(deepgram, resources, dialog)).changed
    assert deepgram.server.calls == []
    vcon = await transcribed(deepgram, resources, dialog, minimum_duration=0.1)
    assert len(vcon.analysis) == 1


@pytest.mark.parametrize(
    "there",
    [
        {"type": "transcript", "dialog": 0, "vendor": "somebody"},
        {"type": "transcript", "dialog": [1, 0], "vendor": "deepgram"},
    ],
)
async def test_a_dialog_that_has_a_transcript(
    deepgram: Vendor, resources: Resources, there: dict[str, Any]
) -> None:
    vcon = vcon_of(inline(b"one"), {"type": "text", "body": "x"}, analysis=[there])
    async with opened(DeepgramLink, resources, deepgram.options) as link:
        await link(vcon, run_on(vcon))
    assert not vcon.changed
    assert deepgram.server.calls == []


async def test_a_second_run_asks_nobody(deepgram: Vendor, resources: Resources) -> None:
    first = await transcribed(deepgram, resources, inline(b"one"), inline(b"three"))
    second = Vcon(first.to_bytes())
    async with opened(DeepgramLink, resources, deepgram.options) as link:
        await link(second, run_on(second))
    assert not second.changed
    assert len(deepgram.server.calls) == 2


async def test_little_confidence_is_no_transcript(deepgram: Vendor, resources: Resources) -> None:
    dialogs = inline(b"low"), inline(b"high")
    vcon = await transcribed(deepgram, resources, *dialogs)
    assert [item["dialog"] for item in vcon.analysis] == [1]
    vcon = await transcribed(deepgram, resources, *dialogs, minimum_confidence=0.3)
    assert sorted(item["dialog"] for item in vcon.analysis) == [0, 1]


async def test_several_at_a_time_and_no_more(deepgram: Vendor, resources: Resources) -> None:
    deepgram.server.seconds, deepgram.server.together = 0.05, 3
    await transcribed(deepgram, resources, *[inline(b"one")] * 9, concurrency=3)
    assert deepgram.server.most_at_once == 3


@pytest.mark.parametrize("name", LINKS)
async def test_no_more_calls_of_an_account_than_the_option_allows(
    vendors: dict[str, Vendor], resources: Resources, name: str
) -> None:
    vendor = vendors[name]
    vendor.server.seconds, vendor.server.together = 0.05, 2
    limits = {"concurrency": 6, "provider_concurrency": 2}
    await transcribed(vendor, resources, *[inline(b"one")] * 6, **limits)
    assert (len(vendor.server.calls), vendor.server.most_at_once) == (6, 2)


async def test_what_is_asked_for(vendors: dict[str, Vendor], resources: Resources) -> None:
    api = {"model": "nova-2", "smart_format": True, "keywords": ["a", "b"]}
    await transcribed(vendors["deepgram"], resources, inline(b"x"), api=api, language="de")
    (call,) = vendors["deepgram"].server.calls
    asked = {name: call.options[name] for name in (*api, "language")}
    assert asked == {**api, "smart_format": "true", "language": "de"}
    await transcribed(vendors["openai"], resources, inline(b"x", filename="a.mp3"), model="m")
    (call,) = vendors["openai"].server.calls
    assert call.model == "m"
    assert "language" not in call.options
    unnamed = inline(b"x", mediatype="application/octet-stream")
    hugging = vendors["hugging_face"]
    await transcribed(hugging, resources, unnamed, **{"Content-Type": "audio/ogg"})
    assert hugging.server.calls[0].headers["content-type"] == "audio/ogg"


async def test_deepgram_by_a_proxy(vendors: dict[str, Vendor], resources: Resources) -> None:
    proxy = vendors["openai"].options
    options = {
        "LITELLM_PROXY_URL": proxy["base_url"],
        "LITELLM_MASTER_KEY": proxy["OPENAI_API_KEY"],
        "api": {"smart_format": True},
    }
    vcon = vcon_of(inline(b"low"))
    async with opened(DeepgramLink, resources, options) as link:
        await link(vcon, run_on(vcon))
    (analysis,) = vcon.analysis
    assert (analysis["vendor"], analysis["body"]) == ("deepgram", {"transcript": "3"})
    (call,) = vendors["openai"].server.calls
    assert call.model == "nova-3"
    assert "smart_format" not in call.options


# speech


SENTENCES = (
    "Good morning, I am calling about my broken dishwasher.",
    "The delivery was late and I would like a refund for my order, please.",
    "Could you send a technician on Tuesday afternoon?",
)


@pytest.mark.parametrize("name", ["deepgram", "openai"])
async def test_what_was_spoken_is_what_is_written(
    resources: Resources, media: RawHttpServer, name: str
) -> None:
    media.answers["/1.wav"] = body_of(speak(SENTENCES[1]), "audio/wav")
    dialogs = inline(speak(SENTENCES[0]), duration=None), at(media.url("/1.wav"))
    with ExitStack() as stack:
        vendor = start(stack, name, whisper)
        vcon = await transcribed(vendor, resources, *dialogs, minimum_duration=1)
    for index, sentence in enumerate(SENTENCES[:2]):
        analysis = vcon.find_analysis("transcript", index)
        assert analysis is not None
        body = analysis["body"]
        assert word_errors(sentence, body.get("transcript") or body["text"]) <= 0.3


async def test_a_long_recording_is_transcribed_in_pieces(resources: Resources) -> None:
    spoken = speak(" ".join(SENTENCES), words_per_minute=120)
    with wave.open(io.BytesIO(spoken)) as file:
        seconds = file.getnframes() / file.getframerate()
    with ExitStack() as stack:
        vendor = start(stack, "openai", whisper)
        dialog = inline(spoken, duration=None)
        vcon = await transcribed(vendor, resources, dialog, max_chunk_duration=10, silence_len=100)
        calls = vendor.server.calls
    (analysis,) = vcon.analysis
    chunked = analysis["body"]["chunked_transcription"]
    assert len(calls) == chunked["total_chunks"] == len(chunked["chunk_results"]) > 1
    assert word_errors(" ".join(SENTENCES), analysis["body"]["text"]) <= 0.3
    assert analysis["usage"]["audio_seconds"] == pytest.approx(seconds, abs=0.1)
    assert files_in(resources.data_dir) == []


def word_errors(expected: str, heard: str) -> float:
    """The word error rate: edits between the words, by how many were said."""
    one, two = (re.findall(r"[a-z']+", text.lower()) for text in (expected, heard))
    row = list(range(len(two) + 1))
    for at_one, word in enumerate(one, 1):
        before, row = row, [at_one]
        for at_two, other in enumerate(two, 1):
            row.append(min(before[at_two] + 1, row[-1] + 1, before[at_two - 1] + (word != other)))
    return row[-1] / len(one)


# faults


async def test_what_went_well_is_kept(
    deepgram: Vendor, resources: Resources, media: RawHttpServer
) -> None:
    media.answers |= {
        "/gone": b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
        "/busy": b"HTTP/1.1 503 X\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n",
    }
    vcon = vcon_of(inline(b"one"), at(media.url("/gone")), at(media.url("/busy")), inline(b"four"))
    run = run_on(vcon)
    async with opened(DeepgramLink, resources, deepgram.options) as link:
        with pytest.raises(Retryable) as caught:
            await link(vcon, run)
        assert caught.value.retry_after == 9
        assert re.match(r"dialog\[1\]: GET .* 404; dialog\[2\]: GET .* 503$", str(caught.value))
        assert run.kept == [1, 2]
        assert sorted(item["dialog"] for item in vcon.analysis) == [0, 3]
        media.answers |= {path: body_of(b"there", "audio/wav") for path in ("/gone", "/busy")}
        again = Vcon(vcon.to_bytes())
        await link(again, run_on(again))
    assert sorted(item["dialog"] for item in again.analysis) == [0, 1, 2, 3]
    assert len(deepgram.server.calls) == 4


async def test_nothing_that_can_pass(deepgram: Vendor, resources: Resources) -> None:
    vcon = vcon_of(inline(b"bad"), inline(b"?", mediatype="text/html"), inline(b"one"))
    failure = await failure_of(deepgram, resources, vcon)
    assert isinstance(failure, Permanent)
    assert re.match(r"dialog\[0\]: .*; dialog\[1\]: media type text/html", str(failure))
    assert [item["dialog"] for item in vcon.analysis] == [2]


@pytest.mark.parametrize("name", LINKS)
async def test_faults_of_the_vendor(
    vendors: dict[str, Vendor], resources: Resources, name: str
) -> None:
    vendor = vendors[name]
    failure = await failure_of(
        vendor, resources, vcon_of(inline(b"x")), **{KEY_NAMES[name]: Secret("sk-wrong")}
    )
    assert isinstance(failure, Permanent)
    assert "sk-wrong" not in str(failure)
    vendor.server.answer(Reply(429, {"Retry-After": "7"}, b"{}"))
    failure = await failure_of(vendor, resources, vcon_of(inline(b"x")))
    assert isinstance(failure, Retryable)
    assert failure.retry_after == 7
    vendor.server.answer(Reply(fault="reset"))
    failure = await failure_of(vendor, resources, vcon_of(inline(b"x")))
    assert isinstance(failure, Retryable)
    vendor.server.answer(Reply(200, {}, b"<html>"))
    await failure_of(vendor, resources, vcon_of(inline(b"x")))
    vendor.server.answer(Reply(delay=0.5))
    failure = await failure_of(vendor, resources, vcon_of(inline(b"x")), provider_timeout=0.1)
    assert isinstance(failure, Retryable)
    assert files_in(resources.data_dir) == []


async def test_an_outage_while_keeping_goes_first(deepgram: Vendor, resources: Resources) -> None:
    vcon = vcon_of(inline(b"one"), inline(b"bad"), inline(b"three"))
    run = run_on(vcon, Unavailable("redis is away"))
    async with opened(DeepgramLink, resources, deepgram.options) as link:
        with pytest.raises(Unavailable, match=r"^redis is away$"):
            await link(vcon, run)
    assert run.kept == [1, 2]


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        # The pieces that were transcribed are paid for again.
        ((429,), Retryable),
        ((429, 429, 429), Throttled),
        ((429, 400), Permanent),
    ],
)
async def test_pieces_that_fail(
    resources: Resources, statuses: tuple[int, ...], kind: type[Exception]
) -> None:
    silence = io.BytesIO()
    with wave.open(silence, "wb") as made:
        made.setparams((1, 2, 16_000, 0, "NONE", ""))
        made.writeframes(b"\0\0" * 16_000 * 30)
    limits = {"max_chunk_duration": 10, "use_silence_chunking": False}
    with ExitStack() as stack:
        vendor = start(stack, "openai", lambda _: Heard("", (), 10.0))
        vendor.server.answer(*(Reply(status, {}, b"{}") for status in statuses))
        vcon = vcon_of(inline(silence.getvalue(), duration=None))
        assert type(await failure_of(vendor, resources, vcon, **limits)) is kind
        assert len(vendor.server.calls) == 3
    assert not vcon.analysis
    assert files_in(resources.data_dir) == []


async def test_a_full_disk_may_be_empty_later(
    deepgram: Vendor, resources: Resources, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("where the folder should be")
    failure = await failure_of(deepgram, resources, vcon_of(inline(b"one")))
    assert isinstance(failure, Retryable)
    assert str(failure).startswith("dialog[0]: ")
    assert str(tmp_path) not in str(failure)


@pytest.mark.parametrize("name", ["ab_call_ext_rec_signed", "ab_call_ext_rec_encrypted"])
async def test_what_cannot_be_changed_is_not_paid_for(
    deepgram: Vendor, resources: Resources, shared_data: Path, name: str
) -> None:
    vcon = Vcon((shared_data / "ietf" / f"{name}.vcon").read_bytes())
    failure = await failure_of(deepgram, resources, vcon)
    assert isinstance(failure, Permanent)
    assert name.rpartition("_")[2] in str(failure)
    assert deepgram.server.calls == []


async def test_whoever_is_cancelled_leaves_nothing(deepgram: Vendor, resources: Resources) -> None:
    deepgram.server.answer(*[Reply(fault="hang")] * 2)
    vcon = vcon_of(inline(b"one"), inline(b"three"))
    async with opened(DeepgramLink, resources, deepgram.options) as link:
        task = asyncio.ensure_future(link(vcon, run_on(vcon)))
        await asyncio.to_thread(deepgram.server.wait_for, 2)
        assert len(files_in(resources.data_dir)) == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert files_in(resources.data_dir) == []
    assert not vcon.changed
    deepgram.server.release()


# options


async def test_without_an_account(resources: Resources) -> None:
    for link_class in (*LINKS.values(), TranscribeLink):
        with pytest.raises(ConfigError):
            async with opened(link_class, resources, {}):
                pass


CONFIG = """
links:
  one:
    module: links.transcribe
    options:
      vendor: {vendor}
      vendor_options: {options}
chains:
  main: {{links: [one], ingress_lists: [in]}}
"""


def configured(folder: Path, vendor: str, options: str) -> Any:
    file = folder / "config.yml"
    file.write_text(CONFIG.format(vendor=vendor, options=options))
    return load(file, {})


def test_vendor_options_are_those_of_the_vendor(tmp_path: Path) -> None:
    given = "{DEEPGRAM_KEY: sk-1, api: {model: nova-2}, minimum_duration: '5', language: de}"
    config = configured(tmp_path, "deepgram", given)
    options = config.links["one"].options.of_vendor()
    assert options.api_key == Secret("sk-1")
    assert (options.api, options.minimum_duration) == ({"model": "nova-2"}, 5)
    assert (options.language, options.minimum_confidence) == ("de", 0.5)
    assert "sk-1" not in str(mask(config))
    assert "sk-1" not in repr(config.links["one"].options)
    config = configured(tmp_path, "openai", "{api_key: sk-2, model: whisper-1}")
    options = config.links["one"].options.of_vendor()
    assert (options.api_key, options.model) == (Secret("sk-2"), "whisper-1")


@pytest.mark.parametrize(
    ("vendor", "options", "message"),
    [
        ("whisper_builtin", "{}", "options.vendor: expected one of 'deepgram'"),
        ("groq", "{minimum_confidence: 0.5}", "groq has no option 'minimum_confidence'"),
        ("openai", "{DEEPGRAM_KEY: x, api_key: y}", "openai has no option 'DEEPGRAM_KEY'"),
        ("deepgram", "{DEEPGRAM_KEY: x, api_key: y}", "'api_key' and 'DEEPGRAM_KEY' are the same"),
        ("openai", "{no_such: 1}", "options.vendor_options: .*no_such"),
        ("deepgram", "{minimum_confidence: 2}", "vendor_options.minimum_confidence"),
    ],
)
def test_vendor_options_that_are_refused(
    tmp_path: Path, vendor: str, options: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        configured(tmp_path, vendor, options)
