"""The vCon that links work on."""

from functools import lru_cache
from typing import Any

from vconflow.model import tags
from vconflow.model.editing import EditableDocument, Item
from vconflow.model.envelope import outer_uuid
from vconflow.model.identifiers import canonical_uuid
from vconflow.model.reading import refuse
from vconflow.model.references import targets
from vconflow.model.versions import LEGACY, spell

__all__ = ["Vcon"]


class Vcon(EditableDocument):
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

    def has_uuid(self, uuid: str) -> bool:
        """Whether that canonical uuid is its own. Raises as `uuid` does."""
        # The usual spelling is told by its bytes: reading it costs as much as many a link.
        plain = self.form == "unsigned" and self.raw("uuid") == b'"%b"' % uuid.encode()
        return plain or self.uuid == uuid

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

    def add_tag(self, name: str, value: str) -> None:
        """Add the tag `name:value`; adding it again changes nothing."""
        attachments = self.edit("attachments")
        holder = next((item for item in attachments if tags.is_tags(item)), None)
        if holder is None:
            version = self.version
            holder = _new_tags(version if version in LEGACY else None)
            attachments.append(holder | {"body": [f"{name}:{value}"]})
        else:
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

    def _add(self, name: str, item: Item) -> int:
        items = self.edit(name)
        given = {key: value for key, value in item.items() if value is not None}
        items.append(spell(name, given, self.version))
        return len(items) - 1


@lru_cache(maxsize=64)
def _new_tags(version: str | None) -> Item:
    return spell("attachments", tags.new_tags(), version)


def _encoding(body: Any, encoding: str | None) -> str:
    return encoding or ("none" if isinstance(body, str) else "json")
