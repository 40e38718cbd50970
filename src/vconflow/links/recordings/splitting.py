"""Long recordings cut into pieces where nobody speaks, for models that take only so much at once.

What is cut is decoded by PyAV (the extra `audio`), and goes on as WAV of 16 kHz, which is what
models of speech listen to.
"""

import array
import asyncio
import math
import operator
import shutil
import threading
import wave
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, closing
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

import anyio
import msgspec

from vconflow.errors import Permanent
from vconflow.links.recordings.spool import PREFIX, to_the_end
from vconflow.ports.transcriber import Recording

__all__ = ["Cutting", "cut_points", "in_pieces", "quiet_spans"]

_RATE: Final = 16_000
_SAMPLE_BYTES: Final = 2
_WINDOW: Final = _RATE // 100
"""Samples whose loudness is one value: 10 ms."""
_FULL_SCALE: Final = 32768.0
_SHORTEST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 24 * 3600
"""Silence takes a hundredth of the bytes that it becomes: one recording must not fill the disk."""
_COPIED_AT_ONCE: Final = 1024 * 1024
_HEADER_BYTES: Final = 44
_LARGEST: Final = 25 * 1024 * 1024 - 64 * 1024
"""Bytes that OpenAI takes at once, with room for what goes along."""


class Cutting(msgspec.Struct, frozen=True):
    """Where to cut: pieces of at most `longest` seconds, if possible in the middle of `silence`
    seconds that are less loud than `threshold` dBFS; None cuts by the clock. A file of more than
    `largest` bytes is decoded however short it is, and pieces of more than a second have no more.
    """

    longest: float
    silence: float | None
    threshold: float
    largest: int = _LARGEST

    @property
    def longest_piece(self) -> float:
        """Seconds of a piece as it is written here."""
        samples = (self.largest - _HEADER_BYTES) // _SAMPLE_BYTES
        return max(_SHORTEST_SECONDS, min(self.longest, samples / _RATE))

    def fits(self, size: int, seconds: float | None) -> bool:
        """Whether a file may stay as it is; how long an unknown one is has to be seen."""
        return size <= self.largest and seconds is not None and seconds <= self.longest


class Stopped(Exception):
    """Nobody wants the pieces any more."""


@asynccontextmanager
async def in_pieces(recording: Recording, cutting: Cutting) -> AsyncIterator[list[Recording]]:
    """The recording in pieces, or just itself if it is short and small enough.

    They lie beside its file and are gone when the context ends. What cannot be decoded, for which
    the extra may be missing, is left whole: the model says why.
    """
    file = recording.file
    if file is None or cutting.fits((await anyio.Path(file).stat()).st_size, recording.duration):
        yield [recording]
        return
    folder = file.with_name(f"{PREFIX}{uuid4().hex}")
    try:
        yield await _stoppable(file, folder, cutting) or [recording]
    finally:
        await to_the_end(shutil.rmtree, folder, ignore_errors=True)


async def _stoppable(file: Path, folder: Path, cutting: Cutting) -> list[Recording]:
    """Split in a thread, which ends early when nobody waits for it any more."""
    stop = threading.Event()
    splitting = asyncio.ensure_future(asyncio.to_thread(_split, file, folder, cutting, stop))
    try:
        return await asyncio.shield(splitting)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(splitting, return_exceptions=True)
        raise


def _split(file: Path, folder: Path, cutting: Cutting, stop: threading.Event) -> list[Recording]:
    """The pieces in order; none if the recording may stay whole, or cannot be decoded."""
    try:
        import av
    except ModuleNotFoundError:
        return []
    folder.mkdir(mode=0o700)
    pcm = folder / "pcm"
    try:
        with pcm.open("wb") as decoded:
            loudness = _decode(file, decoded, stop)
    except (av.FFmpegError, Stopped):
        return []
    seconds = pcm.stat().st_size / _SAMPLE_BYTES / _RATE
    if not seconds or cutting.fits(file.stat().st_size, seconds):
        return []
    quiet = quiet_spans(loudness, cutting) if cutting.silence is not None else []
    ends = [*cut_points(seconds, cutting.longest_piece, quiet), seconds]
    with pcm.open("rb") as samples:
        pieces = [
            _write_piece(samples, folder / f"{number:03}.wav", end)
            for number, end in enumerate(ends)
        ]
    pcm.unlink()
    return pieces


def _decode(file: Path, decoded: BinaryIO, stop: threading.Event) -> list[float]:
    """Write samples of 16 bits, one channel; the loudness of each window in dBFS."""
    loudness: list[float] = []
    left = array.array("h")
    with closing(_samples(file)) as decoding:
        for samples in decoding:
            if stop.is_set():
                raise Stopped
            if decoded.tell() > _LONGEST_SECONDS * _RATE * _SAMPLE_BYTES:
                raise Permanent(f"the recording is longer than {_LONGEST_SECONDS // 3600} hours")
            decoded.write(samples)
            left.frombytes(samples)
            whole = len(left) // _WINDOW * _WINDOW
            loudness += [_dbfs(left[at : at + _WINDOW]) for at in range(0, whole, _WINDOW)]
            left = left[whole:]
    return loudness


def _samples(file: Path) -> Generator[bytes]:
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
    with av.open(str(file)) as container:
        if not container.streams.audio:
            return
        # None brings out what the resampler still holds.
        for frame in chain(container.decode(audio=0), [None]):
            for resampled in resampler.resample(frame):
                yield bytes(resampled.planes[0])[: resampled.samples * _SAMPLE_BYTES]


def _dbfs(window: "array.array[int]") -> float:
    square = sum(map(operator.mul, window, window)) / len(window)
    return 10 * math.log10(square / _FULL_SCALE**2) if square else -math.inf


def quiet_spans(loudness: Sequence[float], cutting: Cutting) -> list[tuple[float, float]]:
    """From when to when, in seconds, nobody speaks for long enough."""
    spans, start = [], None
    for number, value in enumerate([*loudness, math.inf]):
        if value < cutting.threshold:
            start = number if start is None else start
        elif start is not None:
            begin, end = start * _WINDOW / _RATE, number * _WINDOW / _RATE
            if end - begin >= (cutting.silence or 0):
                spans.append((begin, end))
            start = None
    return spans


def cut_points(seconds: float, longest: float, quiet: Sequence[tuple[float, float]]) -> list[float]:
    """Where to cut: in the last silence of a piece's second half, else when it is full."""
    middles = [(begin + end) / 2 for begin, end in quiet]
    points: list[float] = []
    start = 0.0
    while seconds - start > longest:
        # What would be left over must be enough to listen to.
        latest = min(start + longest, seconds - _SHORTEST_SECONDS)
        fitting = [at for at in middles if start + longest / 2 <= at <= latest]
        start = max(fitting, default=latest)
        points.append(start)
    return points


def _write_piece(samples: BinaryIO, path: Path, end: float) -> Recording:
    """Write what comes next in the samples up to `end` seconds."""
    left = size = round(end * _RATE) * _SAMPLE_BYTES - samples.tell()
    with wave.open(str(path), "wb") as piece:
        piece.setnchannels(1)
        piece.setsampwidth(_SAMPLE_BYTES)
        piece.setframerate(_RATE)
        while left > 0 and (chunk := samples.read(min(left, _COPIED_AT_ONCE))):
            piece.writeframes(chunk)
            left -= len(chunk)
    seconds = size / _SAMPLE_BYTES / _RATE
    return Recording("audio/wav", file=path, filename=path.name, duration=seconds)
