"""Which dialogs of a vCon are recordings, and what they say about themselves."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from vconflow.model.hashes import stated_hashes
from vconflow.model.media_types import extension_of, plain
from vconflow.model.vcon import Vcon

__all__ = ["RecordedDialog", "recorded_dialogs"]

_LONGEST_NAME: Final = 255


class RecordedDialog(msgspec.Struct, frozen=True):
    """A dialog whose recording can be had: inline as `body`, else at `url`.

    `media_type` is without parameters and empty when nothing is said, `filename` ends in an
    extension if one is known, `duration` is in seconds; `hashes` are those of what is at `url`.
    """

    index: int
    body: str | None
    encoding: str | None
    url: str | None
    media_type: str
    filename: str
    duration: float | None
    hashes: tuple[str, ...]


def recorded_dialogs(vcon: Vcon) -> Iterator[RecordedDialog]:
    """Every dialog of type recording that has a body or a URL, in order."""
    for index, dialog in enumerate(vcon.dialog):
        if dialog.get("type") == "recording":
            body, url = _content(dialog)
            if body or url:
                yield _recorded(index, dialog, body, url)


def _content(dialog: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What is inline, and where the rest is."""
    body, url = dialog.get("body"), dialog.get("url")
    if dialog.get("body_type") == "url":
        # As the reference's link `diet` leaves dialogs.
        body, url = None, body
    return (body if isinstance(body, str) else None, url if isinstance(url, str) else None)


def _recorded(
    index: int, dialog: Mapping[str, Any], body: str | None, url: str | None
) -> RecordedDialog:
    media_type = plain(dialog.get("mediatype") or dialog.get("mimetype"))
    duration = dialog.get("duration")
    return RecordedDialog(
        index=index,
        body=body or None,
        encoding=dialog.get("encoding"),
        url=url or None,
        media_type=media_type,
        filename=_filename(dialog.get("filename"), url or "", media_type),
        duration=float(duration) if isinstance(duration, int | float) else None,
        hashes=stated_hashes(dialog),
    )


def _filename(given: object, url: str, media_type: str) -> str:
    """A bare name: providers go by its extension."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        path = ""
    for candidate in (given if isinstance(given, str) else "", path):
        name = PurePosixPath(candidate.replace("\\", "/")).name
        if name.isprintable() and PurePosixPath(name).suffix and len(name) <= _LONGEST_NAME:
            return name
    return f"recording{extension_of(media_type)}"
