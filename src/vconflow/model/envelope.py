"""Signed and encrypted vCons: which one it is, and the uuid it travels under.

Nothing here verifies a signature: what is read serves as a key, the bytes stay as they came.
"""

import binascii
import zlib
from base64 import urlsafe_b64decode
from typing import Any, Literal

import msgspec
from msgspec import Raw

from vconflow.errors import InvalidVcon
from vconflow.model.identifiers import canonical_uuid
from vconflow.model.reading import refuse
from vconflow.model.schema import Document

__all__ = ["MAX_NESTING", "Form", "form_of", "outer_uuid", "read_protected", "unpacked"]

Form = Literal["unsigned", "signed", "encrypted"]

MAX_NESTING = 4
MAX_PAYLOAD = 32 * 1024 * 1024
"""Bytes that a payload may have once it is unpacked; a gzip bomb ends here."""

_GZIP = b"\x1f\x8b"
_ANY = msgspec.json.Decoder(float_hook=float)


class Header(msgspec.Struct, gc=False):
    """The one member of a JOSE header that matters here."""

    uuid: str | None = None


class Signature(msgspec.Struct, gc=False):
    """One of `signatures` of a JWS, or of `recipients` of a JWE."""

    header: Header | None = None
    protected: str | None = None


class Jws(msgspec.Struct):
    """JWS in the General JSON form, and the outer members that may stand beside it."""

    payload: str
    signatures: list[Signature]
    uuid: str | None = None


class Jwe(msgspec.Struct):
    """JWE in the General JSON form."""

    ciphertext: str
    recipients: list[Signature]
    unprotected: Header | None = None
    protected: str | None = None
    uuid: str | None = None


class Inner(msgspec.Struct):
    """What a payload holds: a vCon, or another JWS."""

    uuid: str | None = None
    payload: Raw = Raw(b"")
    signatures: Raw = Raw(b"")


_JWS = msgspec.json.Decoder(Jws)
_JWE = msgspec.json.Decoder(Jwe)
_HEADER = msgspec.json.Decoder(Header)
_INNER = msgspec.json.Decoder(Inner)


def form_of(read: Document) -> Form:
    """Tell the form by its members, in the order of the draft."""
    if read.ciphertext and read.recipients:
        return "encrypted"
    if read.payload and read.signatures:
        return "signed"
    return "unsigned"


def outer_uuid(document: bytes, form: Form, unpack: int = MAX_PAYLOAD) -> str:
    """Return the canonical uuid of a signed or encrypted vCon.

    Taken from the headers, else from a `uuid` beside them, else from the payload of a signed one.
    Raises InvalidVcon when there is none, when two headers contradict each other, or when a payload
    has to be read that unpacks to more than `unpack` bytes (type `too_large`).
    """
    return _encrypted(document) if form == "encrypted" else _signed(document, 1, unpack)


def read_protected(text: str) -> dict[str, Any]:
    """The members of a protected header; none if it is unreadable."""
    try:
        header = _ANY.decode(_unbase64(text))
    except (ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}


def unpacked(payload: bytes, limit: int = MAX_PAYLOAD) -> bytes:
    """What was signed, without the gzip around it: at most `limit` bytes. Raises InvalidVcon."""
    try:
        return _gunzip(payload, limit) if payload.startswith(_GZIP) else payload
    except zlib.error:
        raise _no_payload() from None


def _encrypted(document: bytes) -> str:
    jwe = _envelope(_JWE, document)
    found = _agreed(
        jwe.unprotected,
        *(recipient.header for recipient in jwe.recipients),
        _protected(jwe.protected),
        Header(jwe.uuid),
    )
    if found is None:
        message = "an encrypted vCon needs its uuid in the unprotected header"
        raise refuse(("unprotected", "uuid"), message, "missing")
    return found


def _signed(document: bytes, depth: int, unpack: int) -> str:
    jws = _envelope(_JWS, document)
    if not jws.signatures:
        raise refuse(("signatures",), "a signed vCon needs a signature", "missing")
    headers = [item.header for item in jws.signatures]
    headers += [_protected(item.protected) for item in jws.signatures]
    found = _agreed(*headers, Header(jws.uuid))
    if found is not None:
        return found
    if depth == MAX_NESTING:
        raise refuse(("payload",), "too many signatures inside each other", "too_deep")
    payload = _payload(jws.payload, unpack)
    inner = _inner(payload)
    if inner.payload and inner.signatures:
        return _signed(payload, depth + 1, unpack)
    if inner.uuid is None:
        raise refuse(("uuid",), "neither a header nor the payload holds a uuid", "missing")
    return _canonical(inner.uuid)


def _envelope(decoder: Any, document: bytes) -> Any:
    try:
        return decoder.decode(document)
    except (ValueError, RecursionError):
        raise refuse((), "neither a vCon nor a JWS or JWE that holds one", "wrong_type") from None


def _agreed(*headers: Header | None) -> str | None:
    found = {_canonical(header.uuid) for header in headers if header and header.uuid}
    if len(found) > 1:
        raise refuse(("uuid",), "the headers name different uuids", "conflict")
    return next(iter(found), None)


def _canonical(text: str) -> str:
    try:
        return canonical_uuid(text)
    except ValueError:
        raise refuse(("uuid",), "not a UUID", "bad_uuid") from None


def _protected(text: str | None) -> Header | None:
    try:
        return _HEADER.decode(_unbase64(text)) if text else None
    except (ValueError, RecursionError):
        return None  # unreadable here is for whoever verifies it to complain about


def _inner(payload: bytes) -> Inner:
    try:
        return _INNER.decode(payload)
    except (ValueError, RecursionError):
        raise _no_payload() from None


def _payload(text: str, unpack: int) -> bytes:
    try:
        return unpacked(_unbase64(text), unpack)
    except ValueError:
        raise _no_payload() from None


def _no_payload() -> InvalidVcon:
    return refuse(("payload",), "no header holds a uuid and the payload is no vCon", "missing")


def _gunzip(packed: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    plain = unpacker.decompress(packed, limit)
    if not unpacker.eof:
        raise refuse(("payload",), "the payload is cut off or unpacks to too much", "too_large")
    return plain


def _unbase64(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
