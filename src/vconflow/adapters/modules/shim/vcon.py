"""`vcon`: the vCon object that modules of the reference work on."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, Self

from vconflow.model import tags
from vconflow.model.identifiers import new_uuid

__all__ = ["Vcon"]

Item = dict[str, Any]

_ENCODINGS = ("json", "none", "base64url")
_ARRAYS = ("parties", "dialog", "analysis", "attachments")


class Vcon:
    """A vCon as a dict, `vcon_dict`, which is a copy of what it is made of."""

    def __init__(self, vcon_dict: Item | str | None = None) -> None:
        # By way of JSON: whatever a vCon is nested like, that does not recurse.
        text = vcon_dict if isinstance(vcon_dict, str) else json.dumps(vcon_dict or {})
        self.vcon_dict: Item = json.loads(text)

    @classmethod
    def build_from_json(cls, json_string: str) -> Self:
        """A vCon from its JSON text."""
        return cls(json.loads(json_string))

    @classmethod
    def build_new(cls) -> Self:
        """An empty vCon with a uuid of its own."""
        head = {"uuid": new_uuid(), "vcon": "0.0.1", "created_at": datetime.now(UTC).isoformat()}
        return cls({**head, **{name: [] for name in _ARRAYS}})

    # Tags

    @property
    def tags(self) -> Item | None:
        """The attachment of the tags."""
        return self.find_attachment_by_purpose("tags")

    def get_tag(self, tag_name: str) -> str | None:
        """The value of the first tag of that name."""
        for tag in tags.read_tags(self.tags or {}):
            name, found, value = tag.partition(":")
            if found and name == tag_name:
                return value
        return None

    def add_tag(self, tag_name: str, tag_value: str) -> None:
        """Add the tag `name:value`; adding it again changes nothing."""
        holder = self.tags
        if holder is None:
            holder = {"type": "tags", "body": [], "encoding": "json"}
            self._list("attachments").append(holder)
        tags.write_tags(holder, [f"{tag_name}:{tag_value}"])

    # Finding

    def find_attachment_by_purpose(self, purpose: str) -> Item | None:
        """The first attachment of that purpose, or, as of old, type; itself, not a copy."""
        for item in self.attachments:
            if purpose in (item.get("purpose"), item.get("type")):
                return item
        return None

    find_attachment_by_type = find_attachment_by_purpose

    def find_analysis_by_type(self, type: str) -> Item | None:
        """The first analysis of that type; itself, not a copy."""
        return next((item for item in self.analysis if item.get("type") == type), None)

    def find_party_index(self, by: str, val: Any) -> int | None:
        """The index of the first party with that value; dots lead into objects."""
        matching = (i for i, party in enumerate(self.parties) if _at(party, by) == val)
        return next(matching, None)

    def find_dialog(self, by: str, val: Any) -> Item | None:
        """The first dialog with that value; dots lead into objects."""
        return next((dialog for dialog in self.dialog if _at(dialog, by) == val), None)

    @staticmethod
    def decoded_body(entry: Item | None) -> Any:
        """The body of an attachment or analysis as a value, though it be JSON text."""
        body = entry.get("body") if entry else None
        if entry and entry.get("encoding") == "json" and isinstance(body, str):
            return json.loads(body)
        return body

    @staticmethod
    def with_decoded_body(entry: Item | None) -> Item | None:
        """A copy of an attachment or analysis whose body is a value."""
        return {**entry, "body": Vcon.decoded_body(entry)} if entry else None

    # Adding

    def add_attachment(self, *, body: Any, type: str, encoding: str = "none") -> None:
        """Add an attachment. Raises ValueError for a body that is not what `encoding` says."""
        checked = _checked(body, encoding)
        self._list("attachments").append({"type": type, **checked})

    def add_analysis(
        self,
        *,
        type: str,
        dialog: int | list[int],
        vendor: str,
        body: Any,
        encoding: str = "none",
        extra: Item | None = None,
    ) -> None:
        """Add an analysis. Raises ValueError for a body that is not what `encoding` says."""
        item = {"type": type, "dialog": dialog, "vendor": vendor, **_checked(body, encoding)}
        self._list("analysis").append({**item, **(extra or {})})

    def add_party(self, party: Any) -> None:
        """Add a party, a dict or an object with `to_dict`."""
        self._list("parties").append(_as_dict(party))

    def add_dialog(self, dialog: Any) -> None:
        """Add a dialog, a dict or an object with `to_dict`."""
        self._list("dialog").append(_as_dict(dialog))

    # Writing

    def to_dict(self) -> Item:
        """A copy as a dict."""
        copied: Item = json.loads(self.to_json())
        return copied

    def to_json(self) -> str:
        """The JSON text."""
        return json.dumps(self.vcon_dict)

    dumps = to_json

    @property
    def hash(self) -> str:
        """SHA-256 of the JSON text, hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    # Members

    @property
    def uuid(self) -> str:
        """The uuid as it is written."""
        uuid: str = self.vcon_dict["uuid"]
        return uuid

    @property
    def vcon(self) -> str | None:
        """The version as it is written."""
        return self.vcon_dict.get("vcon")

    @property
    def parties(self) -> list[Item]:
        """The parties themselves."""
        return self._list("parties")

    @parties.setter
    def parties(self, value: list[Item]) -> None:
        self.vcon_dict["parties"] = value

    @property
    def dialog(self) -> list[Item]:
        """The dialogs themselves."""
        return self._list("dialog")

    @dialog.setter
    def dialog(self, value: list[Item]) -> None:
        self.vcon_dict["dialog"] = value

    @property
    def attachments(self) -> list[Item]:
        """The attachments themselves."""
        return self._list("attachments")

    @attachments.setter
    def attachments(self, value: list[Item]) -> None:
        self.vcon_dict["attachments"] = value

    @property
    def analysis(self) -> list[Item]:
        """The analysis itself."""
        return self._list("analysis")

    @analysis.setter
    def analysis(self, value: list[Item]) -> None:
        self.vcon_dict["analysis"] = value

    def __getattr__(self, name: str) -> Any:
        if name in ("subject", "created_at", "updated_at", "redacted", "appended", "group"):
            return self.vcon_dict.get(name)
        raise AttributeError(f"Vcon has no {name!r}")

    def _list(self, name: str) -> list[Any]:
        found: list[Any] = self.vcon_dict.setdefault(name, [])
        return found


def _checked(body: Any, encoding: str) -> Item:
    if encoding not in _ENCODINGS:
        raise ValueError(f"unknown encoding {encoding!r}")
    if not isinstance(body, str):
        return {"body": body, "encoding": "json"}
    if encoding == "json":
        json.loads(body)
    return {"body": body, "encoding": encoding}


def _as_dict(item: Any) -> Item:
    given: Item = item.to_dict() if hasattr(item, "to_dict") else dict(item)
    return given


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
