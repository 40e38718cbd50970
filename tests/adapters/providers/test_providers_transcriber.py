"""Transcribers: one suite over all vendors, real speech and a real model behind each server."""

import threading
import wave
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from providers_support import (
    KEY,
    PASSING,
    SENTENCE,
    STAYING,
    WRONG,
    account,
    counted,
    passing,
    staying,
)

from vconflow.adapters.providers.media import filename_of
from vconflow.errors import ConfigError, Permanent, Retryable
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account, Providers, TranscriberOptions
from vconflow.ports.transcriber import Recording, Transcriber
from vconflow.testing.providers import (
    DeepgramServer,
    HuggingFaceServer,
    OpenAiServer,
    ProviderServer,
    Reply,
    deepgram_server,
    hugging_face_server,
    openai_server,
)
from vconflow.testing.providers.deepgram_server import failure as deepgram_failure
from vconflow.testing.providers.hugging_face_server import loading
from vconflow.testing.speech import whisper


@dataclass(frozen=True)
class Vendor:
    """One way to have speech written down, and what comes of it."""

    name: str
    open: Callable[[], Any]
    account: Callable[[Any, str], Account]
    model: str
    members: set[str]
    provider: str = ""
    cost_per_minute: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def _openai() -> Any:
    return openai_server(hear=whisper, keys={KEY})


def _at(path: str) -> Callable[[ProviderServer, str], Account]:
    return lambda server, key: account(f"{server.url}{path}", key)


VENDORS = [
    Vendor(
        name="openai",
        open=_openai,
        account=_at("/v1"),
        model="gpt-4o-transcribe",
        members={"text", "usage"},
        cost_per_minute=0.006,
    ),
    Vendor(
        name="openai",
        provider="azure",
        open=_openai,
        account=lambda server, key: Account(azure_endpoint=server.url, azure_api_key=Secret(key)),
        model="whisper-1",
        members={"text", "usage", "task", "language", "duration", "segments"},
        cost_per_minute=0.006,
        options={"response_format": "verbose_json"},
    ),
    Vendor(
        name="groq",
        open=_openai,
        account=_at("/openai/v1"),
        model="whisper-large-v3-turbo",
        members={"text", "usage"},
        cost_per_minute=0.00067,
    ),
    Vendor(
        name="deepgram",
        open=lambda: deepgram_server(whisper, keys={KEY}),
        account=_at(""),
        model="nova-3",
        members={"transcript", "confidence", "words", "paragraphs", "detected_language"},
        cost_per_minute=0.0043,
        options={"smart_format": True, "keywords": ["refund", "order"], "diarize": None},
    ),
    Vendor(
        name="deepgram",
        provider="litellm",
        open=_openai,
        account=lambda server, key: Account(
            litellm_proxy_url=server.url, litellm_master_key=Secret(key)
        ),
        model="nova-3",
        members={"transcript"},
        options={"smart_format": True},
    ),
    Vendor(
        name="hugging_face",
        open=lambda: hugging_face_server(whisper, keys={KEY}),
        account=_at("/endpoint"),
        model="openai/whisper-large-v3",
        members={"text"},
    ),
]


@pytest.fixture(params=VENDORS, ids=lambda vendor: f"{vendor.name}-{vendor.provider}")
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture
def server(vendor: Vendor) -> Iterator[ProviderServer]:
    with ExitStack() as stack:
        yield stack.enter_context(vendor.open())


@asynccontextmanager
async def transcriber(
    providers: Providers, vendor: Vendor, server: ProviderServer, key: str = KEY, **limits: Any
) -> AsyncIterator[Transcriber]:
    given = msgspec.structs.replace(vendor.account(server, key), **limits)
    options = TranscriberOptions(account=given, model=vendor.model, options=dict(vendor.options))
    async with providers.transcriber(vendor.name, options) as opened:
        yield opened


async def test_what_was_said_comes_out(
    providers: Providers, vendor: Vendor, server: ProviderServer, recording: Recording
) -> None:
    async with transcriber(providers, vendor, server) as opened:
        assert opened.vendor == vendor.name
        transcript = await opened.transcribe(recording)
    assert transcript.text == SENTENCE
    assert transcript.body.keys() == vendor.members
    used = transcript.usage
    assert (used.provider, used.model) == (vendor.provider or vendor.name, vendor.model)
    assert used.audio_seconds == pytest.approx(4.6, abs=0.5)
    assert transcript.duration == used.audio_seconds
    if vendor.cost_per_minute:
        assert used.cost == pytest.approx(used.audio_seconds / 60 * vendor.cost_per_minute)
    else:
        assert used.cost is None
    assert transcript.confidence is None or 0.5 < transcript.confidence <= 1.0


async def test_the_very_bytes_arrive_once(
    providers: Providers, vendor: Vendor, server: ProviderServer, recording: Recording
) -> None:
    async with transcriber(providers, vendor, server) as opened:
        await opened.transcribe(recording)
    assert recording.file is not None
    (call,) = server.calls
    assert call.recording == recording.file.read_bytes()
    assert int(call.headers["content-length"]) >= len(call.recording)


async def test_a_refused_key(
    providers: Providers, vendor: Vendor, server: ProviderServer, recording: Recording
) -> None:
    async with transcriber(providers, vendor, server, WRONG) as opened:
        with pytest.raises(Permanent, match="status 401") as caught:
            await opened.transcribe(recording)
    staying(caught)


@pytest.mark.parametrize(("reply", "wait"), PASSING)
async def test_what_passes(
    providers: Providers,
    vendor: Vendor,
    server: ProviderServer,
    recording: Recording,
    reply: Reply,
    wait: float | None,
) -> None:
    server.answer(reply)
    async with transcriber(providers, vendor, server) as opened:
        with pytest.raises(Retryable) as caught:
            await opened.transcribe(recording)
        passing(caught, wait)
        assert len(server.calls) == 1
        assert (await opened.transcribe(recording)).text == SENTENCE


@pytest.mark.parametrize("reply", STAYING)
async def test_what_stays(
    providers: Providers,
    vendor: Vendor,
    server: ProviderServer,
    recording: Recording,
    reply: Reply,
) -> None:
    server.answer(reply)
    async with transcriber(providers, vendor, server) as opened:
        with pytest.raises(Permanent, match=f"status {reply.status}") as caught:
            await opened.transcribe(recording)
    staying(caught)


async def test_an_answer_without_a_text(
    providers: Providers, vendor: Vendor, server: ProviderServer, recording: Recording
) -> None:
    server.answer(Reply(headers={"Content-Type": "application/json"}, body=b'{"a": 1}'))
    async with transcriber(providers, vendor, server) as opened:
        with pytest.raises(Permanent, match="an answer without a t"):
            await opened.transcribe(recording)


async def test_what_is_no_recording(
    providers: Providers, vendor: Vendor, server: ProviderServer, tmp_path: Path
) -> None:
    file = tmp_path / "notes.wav"
    file.write_bytes(b"minutes of a meeting, no sound")
    async with transcriber(providers, vendor, server) as opened:
        with pytest.raises(Permanent, match="status 400"):
            await opened.transcribe(Recording(media_type="audio/wav", file=file))


async def test_silence(
    providers: Providers, vendor: Vendor, server: ProviderServer, tmp_path: Path
) -> None:
    file = tmp_path / "silence.wav"
    with wave.open(str(file), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16000)
        written.writeframes(bytes(64000))
    async with transcriber(providers, vendor, server) as opened:
        transcript = await opened.transcribe(Recording(media_type="audio/wav", file=file))
    assert isinstance(transcript.text, str)


async def test_a_silent_server(
    providers: Providers, vendor: Vendor, server: ProviderServer, recording: Recording
) -> None:
    server.answer(Reply(fault="hang"))
    async with transcriber(providers, vendor, server, timeout=0.3) as opened:
        with pytest.raises(Retryable, match=r"no answer in 0\.3 s"):
            await opened.transcribe(recording)


async def test_audio_and_cost_are_counted(
    providers: Providers, openai: OpenAiServer, recording: Recording
) -> None:
    labels = {"provider": "openai", "model": "gpt-4o-mini-transcribe"}
    options = TranscriberOptions(account(openai.base_url), "gpt-4o-mini-transcribe")
    async with providers.transcriber("openai", options) as opened:
        used = (await opened.transcribe(recording)).usage
    assert await counted("provider_audio_seconds_total", **labels) == used.audio_seconds
    assert await counted("provider_cost_dollars_total", **labels) == used.cost
    assert await counted("provider_tokens_total", **labels, direction="input") == used.input_tokens


async def test_openai_is_told_format_and_language(
    providers: Providers, openai: OpenAiServer, recording: Recording
) -> None:
    options = TranscriberOptions(account(openai.base_url), options={"prompt": "Old Stone"})
    async with providers.transcriber("openai", options) as opened:
        assert not opened.takes_urls
        await opened.transcribe(recording, language="en")
    (call,) = openai.calls
    assert dict(call.options) == {
        "model": "gpt-4o-transcribe",
        "prompt": "Old Stone",
        "response_format": "json",
        "language": "en",
    }


@pytest.mark.parametrize("options", [{"response_format": "srt"}, {"stream": True}])
async def test_openai_answers_in_json_only(
    providers: Providers, openai: OpenAiServer, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="response_format must be one of json"):
        async with providers.transcriber(
            "openai", TranscriberOptions(account(openai.base_url), options=options)
        ):
            pass


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """A server of files: what is in tmp_path."""
    handler = partial(_QuietFiles, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


async def test_deepgram_fetches_urls(
    providers: Providers, deepgram: DeepgramServer, recording: Recording, elsewhere: str
) -> None:
    url = f"{elsewhere}/said?token=geheim"
    options = TranscriberOptions(account(deepgram.url), options={"detect_language": True})
    async with providers.transcriber("deepgram", options) as opened:
        assert opened.takes_urls
        transcript = await opened.transcribe(
            Recording(media_type="audio/wav", url=url), language="de"
        )
    assert (transcript.text, transcript.language) == (SENTENCE, "en")
    (call,) = deepgram.calls
    # Whoever has the language found out is not told one.
    assert call.options == {"model": "nova-3", "detect_language": "true", "url": url}


async def test_deepgram_cannot_fetch(
    providers: Providers, deepgram: DeepgramServer, elsewhere: str
) -> None:
    options = TranscriberOptions(account(deepgram.url))
    remote = Recording(media_type="audio/wav", url=f"{elsewhere}/gone?token=geheim")
    async with providers.transcriber("deepgram", options) as opened:
        with pytest.raises(Permanent, match=r"status 400 \(REMOTE_CONTENT_ERROR\)") as caught:
            await opened.transcribe(remote)
    assert "geheim" not in repr(caught.value)


async def test_options_of_deepgram_are_its_query(
    providers: Providers, deepgram: DeepgramServer, recording: Recording
) -> None:
    given = {"model": "nova-2", "keywords": ["refund", "order"], "diarize": None, "punctuate": True}
    options = TranscriberOptions(account(deepgram.url), options=given)
    async with providers.transcriber("deepgram", options) as opened:
        await opened.transcribe(recording, language="en")
    (call,) = deepgram.calls
    assert call.options == {
        "model": "nova-2",
        "keywords": ["refund", "order"],
        "punctuate": "true",
        "language": "en",
    }
    assert call.headers["content-type"] == "audio/x-wav"


async def test_deepgram_must_answer_here(providers: Providers, deepgram: DeepgramServer) -> None:
    options = TranscriberOptions(account(deepgram.url), options={"callback": "http://a.example"})
    with pytest.raises(ConfigError, match="callback is not supported"):
        async with providers.transcriber("deepgram", options):
            pass


async def test_deepgram_says_why(
    providers: Providers, deepgram: DeepgramServer, recording: Recording
) -> None:
    deepgram.answer(deepgram_failure(429, "TOO_MANY_REQUESTS", headers={"Retry-After": "3"}))
    async with providers.transcriber(
        "deepgram", TranscriberOptions(account(deepgram.url))
    ) as opened:
        with pytest.raises(Retryable, match=r"status 429 \(TOO_MANY_REQUESTS\)") as caught:
            await opened.transcribe(recording)
    assert caught.value.retry_after == 3.0


async def test_hugging_face_loads_its_model(
    providers: Providers, hugging_face: HuggingFaceServer, recording: Recording
) -> None:
    hugging_face.answer(loading(20.5))
    given = account(hugging_face.url, f"Bearer {KEY}")
    options = TranscriberOptions(given, options={"Content-Type": "audio/flac"})
    async with providers.transcriber("hugging_face", options) as opened:
        with pytest.raises(Retryable, match="the model is being loaded") as caught:
            await opened.transcribe(recording)
        assert caught.value.retry_after == 20.5
        assert (await opened.transcribe(recording)).text == SENTENCE
    assert [call.headers["content-type"] for call in hugging_face.calls] == ["audio/flac"] * 2


async def test_hugging_face_has_no_other_options(
    providers: Providers, hugging_face: HuggingFaceServer
) -> None:
    options = TranscriberOptions(account(hugging_face.url), options={"beam": 5})
    with pytest.raises(ConfigError, match="unknown option 'beam'"):
        async with providers.transcriber("hugging_face", options):
            pass


@pytest.mark.parametrize(
    ("media_type", "filename", "sent"),
    [
        ("audio/x-wav", "recording", "recording.wav"),
        ("audio/mpeg", "call 7", "call 7.mp3"),
        ("audio/ogg; codecs=opus", "", "recording.ogg"),
        ("audio/mp4", "../../call.m4a", "call.m4a"),
        ("video/webm", "talk", "talk.webm"),
        ("application/x-unheard-of", "talk", "talk.wav"),
    ],
)
def test_names_of_recordings_have_a_suffix(media_type: str, filename: str, sent: str) -> None:
    assert filename_of(Recording(media_type=media_type, filename=filename)) == sent


async def test_too_large_for_an_upload(
    providers: Providers, openai: OpenAiServer, tmp_path: Path
) -> None:
    file = tmp_path / "long.wav"
    with file.open("wb") as opened:
        opened.truncate(101 * 1024 * 1024)
    async with providers.transcriber(
        "openai", TranscriberOptions(account(openai.base_url))
    ) as transcriber:
        with pytest.raises(Permanent, match="too long to be uploaded"):
            await transcriber.transcribe(Recording(media_type="audio/wav", file=file))
    assert not openai.calls
