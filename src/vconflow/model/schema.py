"""The types of a vCon's members, for one typed decode.

Only what is wrong in every version is refused by type, so legacy spellings stand beside the new
ones, everything may be null or missing (`rules.py` says what must not), and unknown members are
skipped. Members without a rule of their own are left out: decoding them would buy nothing.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct, field

__all__ = [
    "Analysis",
    "Attachment",
    "Dialog",
    "Document",
    "Opaque",
    "Party",
    "PartyEvent",
    "Reference",
]

Index = int
Indices = int | list[int | None]
Channels = int | list[int | list[int | None] | None]
Seconds = Annotated[float, Meta(ge=0)]
Hashes = str | list[str]


class Opaque(Struct, gc=False):
    """Any object; what is in it does not matter here."""


class Party(Struct, gc=False):
    """A party; every member is optional, empty texts are common."""

    tel: str | int | None = None
    mailto: str | None = None
    name: str | None = None
    sip: str | None = None
    stir: str | None = None
    did: str | None = None
    uuid: str | None = None
    type: str | None = None


class PartyEvent(Struct, gc=False):
    """One line of a dialog's `party_history`."""

    party: Index | None = None
    time: str | None = None
    event: str | None = None
    button: str | None = None
    dtmf: str | None = None


class Dialog(Struct, gc=False):
    """A dialog of any type and version. `body` is b"" when it is missing."""

    type: str | None = None
    start: str | None = None
    duration: Seconds | None = None
    parties: Channels | None = None
    originator: Index | None = None
    mediatype: str | None = None
    mimetype: str | None = None
    body: Raw = Raw(b"")
    encoding: str | None = None
    url: str | None = None
    content_hash: Hashes | None = None
    alg: str | None = None
    signature: str | None = None
    filename: str | None = None
    message_id: str | None = None
    disposition: str | None = None
    session_id: str | Opaque | None = None
    party_history: list[PartyEvent] | None = None
    recordings: Indices | None = None
    recording_set: Index | None = None
    transferee: Indices | None = None
    transferor: Indices | None = None
    transfer_target: Indices | None = None
    original: Indices | None = None
    consultation: Indices | None = None
    target_dialog: Indices | None = None
    legacy_transfer_target: Indices | None = field(name="transfer-target", default=None)
    legacy_target_dialog: Indices | None = field(name="target-dialog", default=None)


class Analysis(Struct, gc=False):
    """An analysis; its body may be any JSON."""

    type: str | None = None
    dialog: Indices | None = None
    attachment: Indices | None = None
    vendor: str | None = None
    product: str | None = None
    mediatype: str | None = None
    mimetype: str | None = None
    filename: str | None = None
    encoding: str | None = None
    url: str | None = None
    content_hash: Hashes | None = None


class Attachment(Struct, gc=False):
    """An attachment; its body may be any JSON."""

    purpose: str | None = None
    type: str | None = None
    start: str | None = None
    party: Index | None = None
    dialog: Indices | None = None
    mediatype: str | None = None
    mimetype: str | None = None
    filename: str | None = None
    encoding: str | None = None
    url: str | None = None
    content_hash: Hashes | None = None


class Reference(Struct, gc=False):
    """`redacted`, `amended` or the legacy `appended`, when it is not empty."""

    uuid: str | None = None
    type: str | None = None
    url: str | None = None
    content_hash: Hashes | None = None
    alg: str | None = None
    signature: str | None = None


class Document(Struct):
    """A vCon of any form. The last members are those that give away a signed or encrypted one."""

    uuid: str | None = None
    vcon: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    subject: str | None = None
    extensions: list[str] | None = None
    critical: list[str] | None = None
    must_support: list[str] | None = None
    redacted: dict[str, Raw] | None = None
    amended: dict[str, Raw] | None = None
    appended: dict[str, Raw] | None = None
    parties: list[Party] | None = None
    dialog: list[Dialog] | None = None
    analysis: list[Analysis] | None = None
    attachments: list[Attachment] | None = None
    payload: Raw = Raw(b"")
    signatures: Raw = Raw(b"")
    ciphertext: Raw = Raw(b"")
    recipients: Raw = Raw(b"")
