"""The vCon that links work on."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Raw

from vconflow.errors import Permanent
from vconflow.model import tags
from vconflow.model.dates import rfc3339
from vconflow.model.envelope import Form, form_of, outer_uuid
from vconflow.model.identifiers import canonical_uuid
from vconflow.model.rawjson import decode_exact, decode_plain, encode, same
from vconflow.model.reading import read_document, read_members, refuse
from vconflow.model.references import targets
from vconflow.model.versions import spell

__all__ = ["Vcon"]

Item = dict[str, Any]

_FIXED: Final = frozenset({"uuid", "created_at"})


def _now() -> datetime:
    return datetime.now(UTC)


class Vcon:
    """A vCon in memory: members are decoded when touched, and the rest stays as it was written.

    `to_bytes()` gives the original bytes until something really changes. Then untouched top-level
    members are written byte for byte in their order, new ones at the end; in touched ones every
    number keeps its text. If a top-level name repeats, the last one counts and, once something
    changed, is the only one written. What is read through properties, `get` and `find_*` is a
    copy, made at each access: change the document with `edit`, `set`, `remove` and `add_*`.

    Names are those of the document's own version: `add_*` takes the newest names and writes
    `mimetype`, `alg` and `signature`, attachment `type` into older documents. `updated_at` is
    kept up to date when the document has one, and never added.

    Raises InvalidVcon when the bytes are no JSON object. Changing a signed or encrypted vCon
    raises Permanent: it needs a new vCon that amends it.
    """

    def __init__(self, document: bytes, *, now: Callable[[], datetime] = _now) -> None:
        self._document = document
        self._original = read_members(document)
        self._members: dict[str, Raw] = dict(self._original)
        self._edited: dict[str, list[Any]] = {}
        self._now = now
        self._stamped: tuple[bytes, bytes] = (b"", b"")
        names = self._original.keys()
        self.form: Form = "unsigned"
        if names >= {"ciphertext", "recipients"} or names >= {"payload", "signatures"}:
            self.form = form_of(read_document(document)[0])

    # Reading

    @property
    def uuid(self) -> str:
        """The canonical uuid; of a signed or encrypted vCon the one it travels under."""
        if self.form != "unsigned":
            return outer_uuid(self._document, self.form)
        try:
            return canonical_uuid(self._text("uuid") or "")
        except ValueError:
            raise refuse(("uuid",), "not a UUID", "bad_uuid") from None

    @property
    def version(self) -> str | None:
        """The `vcon` member as it is written."""
        return self._text("vcon")

    @property
    def created_at(self) -> str | None:
        """The date as it is written."""
        return self._text("created_at")

    @property
    def subject(self) -> str | None:
        """The subject, None when there is none."""
        return self._text("subject")

    @property
    def parties(self) -> list[Item]:
        """A copy of the parties."""
        return self._items("parties")

    @property
    def dialog(self) -> list[Item]:
        """A copy of the dialogs."""
        return self._items("dialog")

    @property
    def analysis(self) -> list[Item]:
        """A copy of the analysis."""
        return self._items("analysis")

    @property
    def attachments(self) -> list[Item]:
        """A copy of the attachments."""
        return self._items("attachments")

    @property
    def tags(self) -> list[str]:
        """The tags, each `name:value`."""
        return [
            tag
            for item in self._items("attachments")
            if tags.is_tags(item)
            for tag in tags.read_tags(item)
        ]

    @property
    def changed(self) -> bool:
        """Whether `to_bytes` differs from the bytes it was made of."""
        return self._written() is not self._original

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

    def get_tag(self, name: str) -> str | None:
        """Return the value of the first tag of that name."""
        for tag in self.tags:
            key, found, value = tag.partition(":")
            if found and key == name:
                return value
        return None

    def find_analysis(self, type: str, dialog: int | None = None) -> Item | None:
        """Return a copy of the first analysis of that type, of that dialog if one is named."""
        for item in self._items("analysis"):
            if item.get("type") == type and (
                dialog is None or dialog in targets(item.get("dialog"))
            ):
                return item
        return None

    def find_attachment(self, purpose: str) -> Item | None:
        """Return a copy of the first attachment of that purpose (or, as of old, type)."""
        for item in self._items("attachments"):
            if purpose in (item.get("purpose"), item.get("type")):
                return item
        return None

    # Changing

    def edit(self, name: str) -> list[Any]:
        """Return the list of a top-level member itself: what is changed in it gets written.

        A missing or null member is an empty list, which is written only when it is filled. Raises
        TypeError when the member is no list.
        """
        self._require_unsigned()
        if name not in self._edited:
            raw = self._members.get(name)
            value = decode_exact(raw) if raw is not None else None
            if not isinstance(value, list | None):
                raise TypeError(f"{name} is no list")
            self._edited[name] = [] if value is None else value
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
        self._members[name] = raw

    def remove(self, name: str) -> None:
        """Drop a top-level member, if there is one. Raises ValueError as `set` does."""
        self._require_changeable(name)
        self._edited.pop(name, None)
        self._members.pop(name, None)

    def add_tag(self, name: str, value: str) -> None:
        """Add the tag `name:value`; adding it again changes nothing."""
        attachments = self.edit("attachments")
        holder = next((item for item in attachments if tags.is_tags(item)), None)
        if holder is None:
            holder = spell("attachments", tags.new_tags(), self.version)
            attachments.append(holder)
        tags.write_tags(holder, [f"{name}:{value}"])

    def add_party(self, **members: Any) -> int:
        """Add a party and return its index."""
        return self._add("parties", members)

    def add_dialog(self, *, type: str, **members: Any) -> int:
        """Add a dialog and return its index."""
        return self._add("dialog", {"type": type, **members})

    def add_analysis(
        self,
        *,
        type: str,
        dialog: int | list[int] | None,
        vendor: str,
        body: Any,
        encoding: str | None = None,
        product: str | None = None,
        schema: str | None = None,
        **extra: Any,
    ) -> int:
        """Add an analysis and return its index. What is None is left out.

        Without `encoding` a text is `none` and anything else `json`, spelled as the document's
        version does.
        """
        item = {"type": type, "dialog": dialog, "vendor": vendor, "product": product}
        item |= {"schema": schema, **extra, "body": body, "encoding": _encoding(body, encoding)}
        return self._add("analysis", item)

    def add_attachment(
        self,
        *,
        purpose: str,
        body: Any,
        encoding: str | None = None,
        party: int | None = None,
        dialog: int | None = None,
        start: str | None = None,
        mediatype: str | None = None,
        filename: str | None = None,
        **extra: Any,
    ) -> int:
        """Add an attachment and return its index, as `add_analysis` does."""
        item = {"purpose": purpose, "start": start, "party": party, "dialog": dialog}
        item |= {"mediatype": mediatype, "filename": filename, **extra}
        item |= {"body": body, "encoding": _encoding(body, encoding)}
        return self._add("attachments", item)

    def to_bytes(self) -> bytes:
        """Return the document: the very bytes it was made of if nothing changed."""
        written = self._written()
        if written is self._original:
            return self._document
        return encode(self._with_updated_at(written))

    # Inside

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

    def _add(self, name: str, item: Item) -> int:
        items = self.edit(name)
        given = {key: value for key, value in item.items() if value is not None}
        items.append(spell(name, given, self.version))
        return len(items) - 1

    def _written(self) -> dict[str, Raw]:
        """Return the members to write; `_original` itself when none differs from it."""
        written = dict(self._members)
        for name, items in self._edited.items():
            there = self._members.get(name)
            now = encode(items)
            # An edit that left everything as it was keeps the bytes as they were.
            if now != encode(decode_exact(there) or [] if there is not None else []):
                written[name] = Raw(now)
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


def _encoding(body: Any, encoding: str | None) -> str:
    return encoding or ("none" if isinstance(body, str) else "json")
