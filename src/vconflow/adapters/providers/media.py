"""Names and sizes of recordings, as providers want them."""

import mimetypes
from pathlib import PurePath
from typing import Final

from vconflow.ports.transcriber import Recording

__all__ = ["filename_of"]

_SUFFIXES: Final = {
    # What mimetypes does not know, or spells otherwise than providers do.
    "audio/x-wav": ".wav",
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/mp3": ".mp3",
    "audio/x-mp3": ".mp3",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/ogg": ".ogg",
    "audio/opus": ".ogg",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/webm": ".webm",
    "video/x-mp4": ".mp4",
}


def filename_of(recording: Recording) -> str:
    """A name with a suffix: some providers tell the format by nothing else."""
    name = PurePath(recording.filename).name or "recording"
    if PurePath(name).suffix:
        return name
    kind = recording.media_type.partition(";")[0].strip().lower()
    return name + (_SUFFIXES.get(kind) or mimetypes.guess_extension(kind) or ".wav")
