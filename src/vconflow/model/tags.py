"""Tags as the reference server lays them out: one attachment whose body lists `name:value`."""

from collections.abc import Mapping
from typing import Any

from vconflow.errors import InvalidVcon
from vconflow.model.rawjson import decode_exact, encode

__all__ = ["PURPOSE", "is_tags", "new_tags", "read_tags", "write_tags"]

PURPOSE = "tags"


def is_tags(attachment: Any) -> bool:
    """Tell whether it is the attachment of tags, under the old or the new name of its purpose."""
    return isinstance(attachment, Mapping) and PURPOSE in (
        attachment.get("purpose"),
        attachment.get("type"),
    )


def new_tags() -> dict[str, Any]:
    """Return an attachment of no tags, in the newest names."""
    return {"purpose": PURPOSE, "body": [], "encoding": "json"}


def read_tags(attachment: Mapping[str, Any]) -> list[str]:
    """Return its tags; the body is a list, JSON text of one, or an object of name and value."""
    return [tag for tag in _entries(attachment.get("body")) if isinstance(tag, str)]


def write_tags(attachment: dict[str, Any], more: list[str]) -> bool:
    """Append those tags that are not there yet, in the form its body has; False if none is new.

    A body of another kind is replaced.
    """
    body = attachment.get("body")
    if isinstance(body, dict):
        return _write_names(body, more)
    entries = _entries(body)
    missing = [tag for tag in dict.fromkeys(more) if tag not in entries]
    if missing:
        entries += missing
        attachment["body"] = encode(entries).decode() if isinstance(body, str) else entries
    return bool(missing)


def _write_names(body: dict[str, Any], more: list[str]) -> bool:
    missing = [tag for tag in dict.fromkeys(more) if tag not in _entries(body)]
    for tag in missing:
        name, _, value = tag.partition(":")
        body[name] = value
    return bool(missing)


def _entries(body: Any) -> list[Any]:
    if isinstance(body, Mapping):
        return [f"{name}:{value}" for name, value in body.items()]
    if isinstance(body, str):
        try:
            body = decode_exact(body.encode())
        except InvalidVcon:
            return []
    return list(body) if isinstance(body, list) else []
