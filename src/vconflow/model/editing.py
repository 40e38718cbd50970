"""A document of JSON that is read and changed member by member."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Raw

from vconflow.errors import Permanent
from vconflow.model.dates import rfc3339
from vconflow.model.envelope import Form, form_of
from vconflow.model.rawjson import decode_exact, decode_plain, encode, same
from vconflow.model.reading import read_document, read_members

__all__ = ["EditableDocument", "Item"]

Item = dict[str, Any]

_FIXED: Final = frozenset({"uuid", "created_at"})


def _now() -> datetime:
    return datetime.now(UTC)


class EditableDocument:
    """The bytes of a vCon, and what of its top-level members was touched; see `Vcon`."""

    def __init__(self, document: bytes, *, now: Callable[[], datetime] = _now) -> None:
        self._document = document
        self._original = read_members(document)
        # The very same until one is set or removed.
        self._members = self._original
        self._edited: dict[str, list[Any]] = {}
        self._unedited: dict[str, bytes] = {}
        self._now = now
        self._stamped: tuple[bytes, bytes] = (b"", b"")
        self.form: Form = "unsigned"
        if "ciphertext" in self._original or "payload" in self._original:
            self.form = form_of(read_document(document)[0])

    @property
    def changed(self) -> bool:
        """Whether `to_bytes` differs from the bytes it was made of."""
        return self._written() is not self._original

    def is_of(self, document: bytes) -> bool:
        """Whether it was made of these very bytes."""
        return self._document is document

    def touched(self, name: str) -> bool:
        """Whether a top-level member may differ from how it was in the bytes it was made of."""
        return name in self._edited or self._members.get(name) is not self._original.get(name)

    @property
    def mark(self) -> bytes:
        """A value that stays equal as long as the document stays the same."""
        return self.to_bytes()

    def raw(self, name: str) -> bytes | None:
        """Return a top-level member as it is written, None when there is none."""
        raw = self._raw(name)
        return None if raw is None else bytes(raw)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a copy of a top-level member, or the default."""
        raw = self._raw(name)
        return default if raw is None else decode_plain(raw)

    def edit(self, name: str) -> list[Any]:
        """Return the list of a top-level member itself: what is changed in it gets written.

        A missing or null member is an empty list, which is written only when it is filled. Raises
        TypeError when the member is no list.
        """
        self._require_unsigned()
        if name not in self._edited:
            raw = self._members.get(name)
            value = decode_exact(raw) if raw is not None else None
            if value is None:
                value = []
            if not isinstance(value, list):
                raise TypeError(f"{name} is no list")
            self._edited[name], self._unedited[name] = value, encode(value)
        return self._edited[name]

    def set(self, name: str, value: Any) -> None:
        """Write a top-level member; the value is copied. Setting what is there changes nothing.

        Raises ValueError for uuid and created_at, which never change, and TypeError when the value
        has no JSON form.
        """
        self._require_changeable(name)
        raw, there = Raw(encode(value)), self._raw(name)
        if there is not None and same(raw, there):
            return
        self._edited.pop(name, None)
        self._own_members()[name] = raw

    def remove(self, name: str) -> None:
        """Drop a top-level member, if there is one. Raises ValueError as `set` does."""
        self._require_changeable(name)
        self._edited.pop(name, None)
        self._own_members().pop(name, None)

    def to_bytes(self) -> bytes:
        """Return the document: the very bytes it was made of if nothing changed."""
        written = self._written()
        if written is self._original:
            return self._document
        return encode(self._with_updated_at(written))

    # Inside

    def _own_members(self) -> dict[str, Raw]:
        if self._members is self._original:
            self._members = dict(self._original)
        return self._members

    def _raw(self, name: str) -> Raw | None:
        edited = self._edited.get(name)
        if edited is None or (not edited and name not in self._members):
            return self._members.get(name)
        return Raw(encode(edited))

    def _text(self, name: str) -> str | None:
        value = self.get(name)
        return value if isinstance(value, str) else None

    def _items(self, name: str) -> list[Item]:
        value = self.get(name)
        return value if isinstance(value, list) else []

    def _written(self) -> dict[str, Raw]:
        """Return the members to write; `_original` itself when none differs from it."""
        written = self._members
        for name, items in self._edited.items():
            now = encode(items)
            # An edit that left everything as it was keeps the bytes as they were.
            if now != self._unedited[name]:
                written = written | {name: Raw(now)}
        if self._members is self._original:
            return written
        return self._original if _same_members(written, self._original) else written

    def _with_updated_at(self, written: dict[str, Raw]) -> dict[str, Raw]:
        there = self._original.get("updated_at")
        if there is None or written.get("updated_at") is not there:
            return written
        # The stamp is taken once per state, so that equal states give equal bytes.
        content = encode(written)
        if self._stamped[0] != content:
            self._stamped = (content, encode(rfc3339(self._now())))
        return written | {"updated_at": Raw(self._stamped[1])}

    def _require_unsigned(self) -> None:
        if self.form != "unsigned":
            raise Permanent(f"this vCon is {self.form}: it cannot be changed, only amended")

    def _require_changeable(self, name: str) -> None:
        self._require_unsigned()
        if name in _FIXED:
            raise ValueError(f"{name} never changes")


def _same_members(one: dict[str, Raw], other: dict[str, Raw]) -> bool:
    return list(one) == list(other) and all(
        raw is there or bytes(raw) == bytes(there)
        for raw, there in zip(one.values(), other.values(), strict=True)
    )
