"""Names and sizes of recordings, as providers want them."""

from pathlib import PurePath

from vconflow.model.media_types import extension_of, plain
from vconflow.ports.transcriber import Recording

__all__ = ["filename_of"]


def filename_of(recording: Recording) -> str:
    """A name with a suffix: some providers tell the format by nothing else."""
    name = PurePath(recording.filename).name or "recording"
    if PurePath(name).suffix:
        return name
    return name + (extension_of(plain(recording.media_type)) or ".wav")
