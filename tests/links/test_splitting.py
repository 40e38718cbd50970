"""Long recordings cut into pieces, by real decoders and with real speech."""

import asyncio
import io
import math
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import pytest

from vconflow.errors import Permanent
from vconflow.links.recordings import splitting
from vconflow.links.recordings.splitting import Cutting, cut_points, in_pieces, quiet_spans
from vconflow.links.transcription.merging import merged
from vconflow.ports.transcriber import Recording, Transcript
from vconflow.ports.usage import Usage
from vconflow.testing.speech import speak, whisper

SENTENCES = (
    "Good morning, I am calling about my broken dishwasher.",
    "The delivery was late and I would like a refund for my order.",
    "Could you send a technician on Tuesday afternoon?",
)
BY_SILENCE = Cutting(longest=8.0, silence=1.5, threshold=-40.0)


def conversation(pause: float = 2.0) -> bytes:
    """A WAV of the sentences, with pauses between them."""
    spoken = io.BytesIO()
    with wave.open(spoken, "wb") as made:
        made.setparams((1, 2, 22_050, 0, "NONE", ""))
        for sentence in SENTENCES:
            with wave.open(io.BytesIO(speak(sentence)), "rb") as one:
                made.writeframes(one.readframes(one.getnframes()))
            made.writeframes(b"\0\0" * int(22_050 * pause))
    return spoken.getvalue()


def as_mp3(wav: bytes) -> bytes:
    target = io.BytesIO()
    with av.open(io.BytesIO(wav)) as source, av.open(target, "w", format="mp3") as made:
        stream = made.add_stream("libmp3lame", rate=22_050)
        for frame in source.decode(audio=0):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return target.getvalue()


def seconds_of(content: bytes) -> float:
    with wave.open(io.BytesIO(content), "rb") as file:
        return file.getnframes() / file.getframerate()


def written(folder: Path, content: bytes, duration: float | None = None) -> Recording:
    file = folder / "recording-1"
    file.write_bytes(content)
    return Recording("audio/x", file=file, duration=duration)


async def pieces_of(recording: Recording, cutting: Cutting) -> list[bytes]:
    async with in_pieces(recording, cutting) as pieces:
        contents = [piece.file.read_bytes() for piece in pieces if piece.file is not None]
        if pieces != [recording]:
            durations = [piece.duration for piece in pieces]
            assert durations == pytest.approx([seconds_of(content) for content in contents])
    assert recording.file is not None
    assert list(recording.file.parent.iterdir()) == [recording.file]
    return contents


@pytest.mark.parametrize("form", ["wav", "mp3"])
async def test_sentences_stay_whole(tmp_path: Path, form: str) -> None:
    wav = conversation()
    content = as_mp3(wav) if form == "mp3" else wav
    pieces = await pieces_of(written(tmp_path, content), BY_SILENCE)
    assert len(pieces) == 3
    assert all(seconds_of(piece) <= 8.0 for piece in pieces)
    whole = sum(seconds_of(piece) for piece in pieces)
    assert whole == pytest.approx(seconds_of(wav), abs=0.1)
    for sentence, piece in list(zip(SENTENCES, pieces, strict=True))[:: 2 if form == "wav" else 3]:
        assert whisper(piece).text.split()[-1].lower() == sentence.split()[-1].lower()


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_large_file_of_a_short_recording_becomes_a_small_one(
    tmp_path: Path, is_known: bool
) -> None:
    """Of two channels and 44,100 samples a second five minutes are more than OpenAI takes."""
    content = io.BytesIO()
    with wave.open(content, "wb") as made:
        made.setparams((2, 2, 44_100, 0, "NONE", ""))
        made.writeframes(b"\1\0\1\0" * 44_100 * 3)
    duration = 3.0 if is_known else None
    whole = written(tmp_path, content.getvalue(), duration)
    limits = {"longest": 480.0, "silence": None, "threshold": -40.0}
    fitting = Cutting(**limits, largest=len(content.getvalue()))
    assert await pieces_of(whole, fitting) == [content.getvalue()]
    (small,) = await pieces_of(whole, Cutting(**limits, largest=100_000))
    assert seconds_of(small) == pytest.approx(3, abs=0.1)
    assert len(small) <= 100_000
    pieces = await pieces_of(whole, Cutting(**limits, largest=40_000))
    assert all(len(piece) <= 40_000 for piece in pieces)
    assert sum(map(seconds_of, pieces)) == pytest.approx(3, abs=0.1)


async def test_by_the_clock(tmp_path: Path) -> None:
    content = conversation()
    cutting = Cutting(longest=6.0, silence=None, threshold=-40.0)
    pieces = await pieces_of(written(tmp_path, content), cutting)
    assert [seconds_of(piece) for piece in pieces[:-1]] == [6.0] * (len(pieces) - 1)
    assert len(pieces) == math.ceil(seconds_of(content) / 6)


@pytest.mark.parametrize(
    ("content", "duration"), [(b"no sound", None), (b"no sound", 8.0), (speak("Hello."), None)]
)
async def test_what_stays_whole(tmp_path: Path, content: bytes, duration: float | None) -> None:
    assert await pieces_of(written(tmp_path, content, duration), BY_SILENCE) == [content]


async def test_without_the_extra_it_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    content = conversation()
    assert await pieces_of(written(tmp_path, content), BY_SILENCE) == [content]


async def test_what_is_endless_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "_LONGEST_SECONDS", 3600)
    silent = io.BytesIO()
    with wave.open(silent, "wb") as made:
        made.setparams((1, 1, 8000, 0, "NONE", ""))
        made.writeframes(b"\x80" * 8000 * 3700)
    recording = written(tmp_path, silent.getvalue())
    with pytest.raises(Permanent, match="longer than 1 hours"):
        await pieces_of(recording, BY_SILENCE)
    assert list(tmp_path.iterdir()) == [recording.file]


async def test_whoever_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    silent = io.BytesIO()
    with wave.open(silent, "wb") as made:
        made.setparams((1, 2, 16_000, 0, "NONE", ""))
        made.writeframes(b"\0\0" * 16_000 * 1800)
    recording = written(tmp_path, silent.getvalue())
    task = asyncio.create_task(pieces_of(recording, BY_SILENCE))
    while len(list(tmp_path.iterdir())) < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == [recording.file]


@pytest.mark.parametrize(
    ("seconds", "quiet", "points"),
    [
        (10, [], []),
        (25, [], [10, 20]),
        (20.5, [], [10, 19.5]),
        (25, [(8, 9), (6, 7)], [8.5, 18.5]),
        (25, [(1, 2), (12, 13)], [10, 20]),
        (24, [(9, 10), (14, 15), (23.4, 23.6)], [9.5, 14.5]),
        (20, [(9, 10), (19, 20)], [9.5, 19.0]),
    ],
)
def test_where_it_is_cut(
    seconds: float, quiet: Sequence[tuple[float, float]], points: list[float]
) -> None:
    assert cut_points(seconds, 10, quiet) == points


def test_what_silence_is() -> None:
    loudness = [-10.0] * 100 + [-50.0] * 150 + [-10.0] * 50 + [-math.inf] * 149 + [-39.0]
    assert quiet_spans(loudness, BY_SILENCE) == [(1.0, 2.5)]
    assert quiet_spans([-60.0] * 200, BY_SILENCE) == [(0.0, 2.0)]


def test_transcripts_are_joined() -> None:
    def piece(text: str, cost: float | None, confidence: float | None = None) -> Transcript:
        usage = Usage("openai", "m", input_tokens=3, output_tokens=2, audio_seconds=5, cost=cost)
        body: Any = {"text": text, "logprobs": None}
        return Transcript(text, body, usage, confidence=confidence, duration=5)

    one, two, three = piece("a b", 0.25, 0.5), piece("", 0.5), piece("c", 0.25, 1.0)
    assert merged([one]) is one
    whole = merged([one, two, three])
    assert (whole.text, whole.confidence, whole.duration) == ("a b c", 0.75, 15)
    assert whole.usage == Usage("openai", "m", 9, 6, 15, 1.0)
    assert whole.body["text"] == "a b c"
    assert whole.body["usage"]["total_tokens"] == 15
    chunked = whole.body["chunked_transcription"]
    assert chunked == {"total_chunks": 3, "chunk_results": [one.body, two.body, three.body]}
    assert merged([one, piece("d", None)]).usage.cost is None
