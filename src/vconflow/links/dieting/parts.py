"""Parts of a vCon that are dropped."""

from collections.abc import Sequence
from typing import Any, Final

from vconflow.model.media_types import is_among, plain
from vconflow.model.rawjson import decode_exact
from vconflow.model.reading import read_members
from vconflow.model.references import renumber, targets
from vconflow.model.vcon import Vcon

__all__ = ["remove_attachments", "remove_system_prompts"]

_SYSTEM_PROMPT: Final = "system_prompt"
_GONE: Final = -1


def remove_attachments(vcon: Vcon, media_types: Sequence[str]) -> None:
    """Drop attachments of these media types; analysis of others points to where they are then."""
    attachments = vcon.edit("attachments")
    kept = [
        index
        for index, item in enumerate(attachments)
        if not is_among(_media_type(item), media_types)
    ]
    if len(kept) == len(attachments):
        return
    places = dict.fromkeys(range(len(attachments)), _GONE)
    places |= {old: new for new, old in enumerate(kept)}
    attachments[:] = [attachments[index] for index in kept]
    for item in vcon.edit("analysis"):
        if isinstance(item, dict) and "attachment" in item:
            _point_elsewhere(item, places)


def _point_elsewhere(analysis: dict[str, Any], places: dict[int, int]) -> None:
    left = [at for at in targets(renumber(analysis["attachment"], places)) if at != _GONE]
    if not left:
        del analysis["attachment"]
    else:
        analysis["attachment"] = left if isinstance(analysis["attachment"], list) else left[0]


def _media_type(attachment: Any) -> str:
    if not isinstance(attachment, dict):
        return ""
    # The last is the name that the reference looks for.
    named = (attachment.get(name) for name in ("mediatype", "mimetype", "mime_type"))
    return plain(next(filter(None, named), ""))


def remove_system_prompts(vcon: Vcon) -> None:
    """Drop every member called `system_prompt`, at any depth."""
    for name, raw in read_members(vcon.to_bytes()).items():
        if name == _SYSTEM_PROMPT:
            vcon.remove(name)
            continue
        value = decode_exact(raw)
        if _drop_prompts(value):
            vcon.set(name, value)


def _drop_prompts(value: Any) -> bool:
    """Whether something was dropped in it."""
    found, rest = False, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            found = found or _SYSTEM_PROMPT in item
            item.pop(_SYSTEM_PROMPT, None)
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)
    return found
