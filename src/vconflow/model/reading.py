"""From bytes to typed members, with every problem said and no content of the document quoted.

The happy path is one decode. Only when it fails is the document read again, member by member, to
find all that is wrong rather than the first thing.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import Raw

from vconflow.errors import InvalidVcon, Problem
from vconflow.model.schema import Document

__all__ = [
    "Loc",
    "read_document",
    "read_items",
    "read_members",
    "read_struct",
    "refuse",
    "require_uuid_once",
]

Loc = tuple[str | int, ...]
S = TypeVar("S", bound=msgspec.Struct)

_DOCUMENT = msgspec.json.Decoder(Document)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])

_PLACE = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]")
_BYTE = re.compile(r"\(byte (\d+)\)")
_HALF_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def refuse(loc: Loc, message: str, kind: str) -> InvalidVcon:
    """Return the error of a document with one problem."""
    return InvalidVcon([Problem(loc, message, kind)])


def read_document(document: bytes) -> tuple[Document, list[Problem]]:
    """Return the typed view of the document, and its members of a wrong type (left out of it).

    Raises InvalidVcon when the bytes are not one JSON object in UTF-8.
    """
    # msgspec skips strings nobody asks for without looking at their encoding.
    if not document.isascii():
        try:
            document.decode()
        except UnicodeDecodeError as error:
            raise refuse((), f"not UTF-8 (byte {error.start})", "not_utf8") from None
    try:
        return _DOCUMENT.decode(document), []
    except msgspec.ValidationError:
        problems: list[Problem] = []
        return read_struct(read_members(document), Document, (), problems), problems
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(document, error) from None


def read_members(document: bytes | Raw) -> dict[str, Raw]:
    """Return the members of a JSON object as they are written; the last of a name wins.

    Raises InvalidVcon when the bytes are not one JSON object.
    """
    try:
        return _MEMBERS.decode(document)
    except msgspec.ValidationError:
        raise refuse((), "not a JSON object", "wrong_type") from None
    except UnicodeDecodeError:
        raise refuse((), "a name is not UTF-8", "not_utf8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(bytes(document), error) from None


def read_items(raw: Raw) -> list[Raw]:
    """Return the items of a JSON array as they are written. Raises InvalidVcon if it is none."""
    try:
        return _ITEMS.decode(raw)
    except msgspec.ValidationError:
        raise refuse((), "not a JSON array", "wrong_type") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(bytes(raw), error) from None


def read_struct(members: Mapping[str, Raw], kind: type[S], loc: Loc, problems: list[Problem]) -> S:
    """Return the members that have the right type; the others become problems."""
    values = {}
    for info in msgspec.structs.fields(kind):
        raw = members.get(info.encode_name)
        if raw is None:
            continue
        before = len(problems)
        value = _read(raw, info.type, (*loc, info.encode_name), problems)
        if len(problems) == before or value is not None:
            values[info.name] = value
    return kind(**values)


def require_uuid_once(document: bytes) -> None:
    """Raise InvalidVcon when the outer object names `uuid` twice: readers would disagree on it.

    Any other name may repeat; the last one wins everywhere in vconflow.
    """
    # An escape such as "uu\\u0069d" is the same name; all tests are a fraction of a parse, the one
    # for a single byte a fraction of the others.
    if document.count(b'"uuid"') < 2 and (b"\\" not in document or b"\\u00" not in document):
        return
    if sum(name.text == "uuid" for name in _NAMES.decode(document)) > 1:
        raise refuse(("uuid",), "the member stands there twice", "duplicate")


class _Name:
    """A member name that is equal to nothing else, so that a dict keeps the repeated ones."""

    def __init__(self, text: str) -> None:
        self.text = text


_NAMES = msgspec.json.Decoder(dict[_Name, Raw], dec_hook=lambda kind, text: kind(text))


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


def _read(raw: Raw, kind: Any, loc: Loc, problems: list[Problem]) -> Any:
    try:
        return _decoder(kind).decode(raw)
    except msgspec.ValidationError as error:
        inner = _without_null(kind)
        if get_origin(inner) is list:
            return _read_list(raw, get_args(inner)[0], loc, problems, error)
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            return _read_object(raw, inner, loc, problems, error)
        problems.append(_explain(error, loc))
    return None


def _read_list(
    raw: Raw, kind: Any, loc: Loc, problems: list[Problem], error: msgspec.ValidationError
) -> list[Any] | None:
    try:
        items = _ITEMS.decode(raw)
    except msgspec.ValidationError:
        problems.append(_explain(error, loc))
        return None
    empty = kind() if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    # A broken item keeps its place, so that the indices of the others stay right.
    read = (_read(item, kind, (*loc, number), problems) for number, item in enumerate(items))
    return [empty if value is None else value for value in read]


def _read_object(
    raw: Raw, kind: type[S], loc: Loc, problems: list[Problem], error: msgspec.ValidationError
) -> S | None:
    try:
        members = _MEMBERS.decode(raw)
    except msgspec.ValidationError:
        problems.append(_explain(error, loc))
        return None
    return read_struct(members, kind, loc, problems)


def _without_null(kind: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        rest = [option for option in get_args(kind) if option is not NoneType]
        return rest[0] if len(rest) == 1 else kind
    return kind


def _explain(error: msgspec.ValidationError, loc: Loc) -> Problem:
    text = str(error)
    place = _PLACE.search(text)
    if place:
        steps = _STEP.findall(place[1])
        loc += tuple(int(number) if number else cast(str, name) for name, number in steps)
        text = text[: place.start()]
    # Only sentences that name types and bounds are passed on: others may quote the document.
    if text.startswith("Expected `"):
        kind = "wrong_type" if ", got `" in text else "out_of_range"
        return Problem(loc, text[0].lower() + text[1:], kind)
    if "out of range" in text:
        return Problem(loc, "the number is too large", "out_of_range")
    return Problem(loc, "the value is not allowed here", "wrong_type")


def _unreadable(document: bytes, error: Exception) -> InvalidVcon:
    if isinstance(error, RecursionError):
        return refuse((), "nested too deeply", "too_deep")
    if not document.strip(b" \t\r\n"):
        return refuse((), "the body is empty", "empty")
    text = str(error)
    if "surrogate" in text or ("truncated" in text and _HALF_SURROGATE.search(document)):
        return refuse((), "malformed JSON: half of a surrogate pair", "malformed_json")
    if "truncated" in text:
        return refuse((), "malformed JSON: it ends too early", "malformed_json")
    place = _BYTE.search(text)
    if not place:
        return refuse((), "malformed JSON", "malformed_json")
    at = int(place[1])
    return refuse((), f"malformed JSON: {_syntax(document, at, text)}", "malformed_json")


def _syntax(document: bytes, at: int, text: str) -> str:
    if document.startswith((b"NaN", b"Infinity"), at):
        return f"NaN and Infinity are no JSON numbers (byte {at})"
    if at == 0 and document.startswith(b"\xef\xbb\xbf"):
        return "a byte order mark stands before it"
    return text.removeprefix("JSON is malformed: ")
