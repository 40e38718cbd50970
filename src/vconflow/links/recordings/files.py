"""From a dialog to a file of its recording, or to the URL where a provider may fetch it."""

import contextlib
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from vconflow.errors import Permanent, SourceAway
from vconflow.links.recordings.content_check import ContentCheck
from vconflow.links.recordings.dialogs import RecordedDialog
from vconflow.links.recordings.inline import decoded
from vconflow.links.recordings.spool import Spool, remove_forgotten, spooled, to_the_end
from vconflow.model.media_types import GENERIC, UNKNOWN, extension_of, is_among, recognized
from vconflow.ports.component import Resources
from vconflow.ports.transcriber import Recording

__all__ = ["Limits", "RecordingFiles"]

_FOLDER: Final = "recordings"
_LONGEST_WAIT: Final = 60.0


class Limits(msgspec.Struct, frozen=True):
    """What may be fetched: bytes, patterns of media types, and seconds for all of it."""

    max_bytes: int
    media_types: tuple[str, ...]
    fetch_timeout: float


class RecordingFiles:
    """Brings recordings into the data folder, each for as long as somebody works on it.

    `media_type` is what a recording is taken for when neither the vCon nor the server says more.
    """

    def __init__(self, resources: Resources, limits: Limits, media_type: str = UNKNOWN) -> None:
        self._fetcher = resources.fetcher
        self._folder = resources.data_dir / _FOLDER
        self._limits = limits
        self._media_type = media_type

    async def clear(self) -> None:
        """Remove what a process that was killed left in the folder a day ago or earlier."""
        await to_the_end(remove_forgotten, self._folder)

    @asynccontextmanager
    async def open(self, dialog: RecordedDialog) -> AsyncIterator[Recording]:
        """The recording of a dialog as a file, gone when the context ends.

        Raises Permanent for a body or URL that is no good, a wrong media type, too large a
        recording and one that is not what its content_hash says; SourceAway when fetching fails
        for the moment; OSError when the disk does.
        """
        self._require_media_type(dialog.media_type)
        check = ContentCheck(dialog.hashes if dialog.body is None else ())
        async with spooled(self._folder, self._limits.max_bytes, check) as spool:
            said = ""
            if dialog.body is not None:
                await to_the_end(spool.append, decoded(dialog.body, dialog.encoding))
            else:
                said = await self._fetch(dialog.url or "", spool)
            check.verify()
            if not spool.size:
                raise Permanent("the recording is empty")
            yield await self._described(dialog, spool.path, said)

    async def by_url(self, dialog: RecordedDialog) -> Recording | None:
        """The recording as a URL for the provider to fetch; None if it must be a file.

        It must be one when it is inline or has a content_hash, which only we check. Raises as
        `Fetcher.check` does: nobody is sent to addresses that we would not ask ourselves.
        """
        if dialog.url is None or dialog.body is not None or dialog.hashes:
            return None
        self._require_media_type(dialog.media_type)
        await self._fetcher.check(dialog.url)
        media_type = dialog.media_type or self._media_type
        return Recording(
            media_type, url=dialog.url, filename=dialog.filename, duration=dialog.duration
        )

    async def _fetch(self, url: str, spool: Spool) -> str:
        """Write what is at the URL; the media type that its server says."""
        limits = self._limits
        try:
            async with self._fetcher.open(
                url, limit=limits.max_bytes, timeout=limits.fetch_timeout
            ) as download:
                self._require_media_type(download.media_type)
                async for chunk in download.chunks():
                    await spool.write(chunk)
                await spool.flush()
                return download.media_type
        except SourceAway as failure:
            # Whoever wrote the URL must not say for how long its vCon occupies us.
            asked = min(failure.retry_after or 0.0, _LONGEST_WAIT) or None
            raise SourceAway(str(failure), retry_after=asked) from failure

    def _require_media_type(self, media_type: str) -> None:
        if media_type not in GENERIC and not is_among(media_type, self._limits.media_types):
            raise Permanent(f"media type {media_type} is not among media_types")

    async def _described(self, dialog: RecordedDialog, path: Path, said: str) -> Recording:
        seconds, looks_like = await to_the_end(_look_at, path)
        known = (kind for kind in (said, dialog.media_type, looks_like) if kind not in GENERIC)
        media_type = next(known, self._media_type)
        name = dialog.filename
        if not PurePosixPath(name).suffix:
            name += extension_of(media_type)
        duration = seconds if dialog.duration is None else dialog.duration
        return Recording(media_type, file=path, filename=name, duration=duration)


def _look_at(path: Path) -> tuple[float | None, str]:
    """The length of uncompressed WAV, and the media type, as far as the file itself tells."""
    with path.open("rb") as file:
        looks_like = recognized(file.read(12))
    # RuntimeError: it seeks by sizes in the header, which may be anything.
    unreadable = (wave.Error, EOFError, RuntimeError)
    with contextlib.suppress(*unreadable), wave.open(str(path), "rb") as wav:
        _, _, rate, frames, _, _ = wav.getparams()
        # Whoever wrote it while it was recorded may have left the number of frames open.
        there = path.stat().st_size // max(wav.getnchannels() * wav.getsampwidth(), 1)
        return (min(frames, there) / rate if frames and rate else None), looks_like
    return None, looks_like
