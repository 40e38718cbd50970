"""From Redis replies to entries."""

from typing import Any

from vconflow.model.entry import Entry

__all__ = ["field_map", "parse_entry"]


def field_map(fields: list[bytes]) -> dict[bytes, bytes]:
    """Redis' flat list of names and values as a dict."""
    return dict(zip(fields[::2], fields[1::2], strict=True))


def parse_entry(list_name: str, item: list[Any], turn: int = 0) -> Entry:
    """An entry from an `[id, fields]` reply."""
    held = field_map(item[1])
    entry_id = item[0].decode()
    return Entry(
        id=entry_id,
        list=list_name,
        uuid=held[b"uuid"].decode(),
        at=int(held.get(b"at") or entry_id.partition("-")[0]),
        origin=held.get(b"origin", b"").decode(),
        trace=held.get(b"trace", b"").decode(),
        progress=held.get(b"progress", b""),
        egress=b"egress" in held,
        turn=turn,
    )
