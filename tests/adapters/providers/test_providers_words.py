"""Words spoken in recordings come out as transcripts, measured by the word error rate."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import jiwer
import pytest
from providers_support import account

from vconflow.ports.providers import Providers, TranscriberOptions
from vconflow.ports.transcriber import Recording
from vconflow.testing.providers import DeepgramServer
from vconflow.testing.speech import speak

BATCH = 10
RECORDINGS = 5 * BATCH
WORST = 0.3
DIGITS = ["oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def sentences(shared_data: Path) -> list[str]:
    """Sentences of real conversations, every one once: long enough to be heard, without figures."""
    found = dict.fromkeys(
        sentence
        for body in _bodies(shared_data / "conversations.ndjson")
        for sentence in re.split(r"(?<=[.!?])\s+", body.strip())
        if re.fullmatch(r"[A-Za-z ,.'?!-]+", sentence) and 6 <= len(sentence.split()) <= 22
    )
    every = len(found) // RECORDINGS
    return list(found)[::every][:RECORDINGS]


def _bodies(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        for dialog in json.loads(line)["dialog"]:
            if isinstance(dialog.get("body"), str):
                yield dialog["body"]


def words(text: str) -> str:
    """What is said, whichever way it is written."""
    spelled = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text.lower())
    said = " ".join(re.findall(r"[a-z']+", spelled))
    return re.sub(r"\bzero\b", "oh", said)


@pytest.mark.parametrize("start", range(0, RECORDINGS, BATCH))
async def test_words_spoken_in_recordings_come_out_as_a_transcript(
    providers: Providers, deepgram: DeepgramServer, shared_data: Path, tmp_path: Path, start: int
) -> None:
    found = await asyncio.to_thread(sentences, shared_data)
    assert len(found) == RECORDINGS
    spoken = found[start : start + BATCH]
    files = await asyncio.to_thread(_record, spoken, tmp_path)
    options = TranscriberOptions(account(deepgram.url), options={"smart_format": True})
    async with providers.transcriber("deepgram", options) as transcriber:
        heard = await asyncio.gather(
            *(transcriber.transcribe(Recording("audio/wav", file)) for file in files)
        )
    assert deepgram.counts()["transcription"] == BATCH
    rate = jiwer.wer([*map(words, spoken)], [words(transcript.text) for transcript in heard])
    assert rate <= WORST, f"word error rate {rate:.3f}"


def _record(spoken: list[str], folder: Path) -> list[Path]:
    files = []
    for number, sentence in enumerate(spoken):
        file = folder / f"{number}.wav"
        file.write_bytes(speak(sentence, words_per_minute=130 + number % 3 * 10))
        files.append(file)
    return files
