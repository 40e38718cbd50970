"""From untyped values to a Struct, field by field, so that every wrong field is named."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from vconflow.config.field_types import (
    alternatives,
    choices,
    expected,
    items_of,
    keys_of,
    values_of,
)
from vconflow.config.findings import Findings, Loc, nearest
from vconflow.ports.component import Secret

__all__ = ["convert_struct"]

StructT = TypeVar("StructT", bound=msgspec.Struct)

SWITCHES = {"yes": True, "on": True, "no": False, "off": False}
KINDS = {"array": "list", "object": "mapping", "float": "number"}


def convert_struct(
    cls: type[StructT], raw: Any, loc: Loc, findings: Findings, *, closed: bool = True
) -> StructT | None:
    """Convert a mapping, noting every problem; None when there was one.

    A value left empty counts as not given unless its field takes nothing for an answer. With
    `closed`, every unknown key is an error; otherwise only one that looks like a slip of a known
    key is, others are ignored with a warning, and what could be read comes back in spite of
    problems, so that the caller finds further ones.
    """
    if not isinstance(raw, Mapping):
        findings.error(loc, f"expected a mapping, got {_kind_of(raw)}", "wrong_type")
        return None
    before = len(findings.errors)
    fields = {field.encode_name: field for field in _fields(cls)}
    given = _by_field(cls, raw, fields, loc, findings, closed=closed)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        spelling, value = given.get(name, (name, None))
        if value is None and not (name in given and _takes_none(field)):
            if field.required:
                findings.error((*loc, name), "is required", "missing")
            continue
        converted = _convert_value(value, cls, field, (*loc, spelling), findings)
        if converted is not msgspec.UNSET:
            values[field.name] = converted
    failed = len(findings.errors) > before
    if failed and (closed or any(f.required and f.name not in values for f in fields.values())):
        return None
    return _construct(cls, values, loc, findings)


def _convert_value(
    value: Any, cls: type[msgspec.Struct], field: inspect.Field, loc: Loc, findings: Findings
) -> Any:
    """Convert one value to the type of a field; UNSET, with a problem noted, if that fails."""
    declared = next(f.type for f in msgspec.structs.fields(cls) if f.name == field.name)
    if isinstance(value, str) and any(
        isinstance(k, inspect.BoolType) for k in alternatives(field.type)
    ):
        value = SWITCHES.get(value.lower(), value)
    try:
        return msgspec.convert(value, declared, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        _explain(str(error), field.type, loc, findings)
        return msgspec.UNSET


def _construct(
    cls: type[StructT], values: Mapping[str, Any], loc: Loc, findings: Findings
) -> StructT | None:
    try:
        return cls(**values)
    except ValueError as error:
        # Raised by a component's __post_init__ about fields that contradict each other.
        findings.error(loc, str(error))
        return None


def _fields(cls: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _by_field(
    cls: type[msgspec.Struct],
    raw: Mapping[str, Any],
    fields: Mapping[str, inspect.Field],
    loc: Loc,
    findings: Findings,
    *,
    closed: bool,
) -> dict[str, tuple[str, Any]]:
    """Sort what was given by field: its encoded name to the spelling used and the value."""
    spellings = _spellings(cls, fields)
    given: dict[str, tuple[str, Any]] = {}
    for key, value in raw.items():
        name = spellings.get(key)
        if name is None:
            _unknown(key, value, spellings, loc, findings, closed=closed)
        elif name in given:
            other = given[name][0]
            findings.error(
                (*loc, key),
                f"option {name!r} is given twice, as {other!r} and {key!r}",
                "duplicate",
            )
        else:
            given[name] = (key, value)
    return given


def _spellings(cls: type[msgspec.Struct], fields: Mapping[str, inspect.Field]) -> dict[str, str]:
    """Every accepted spelling to the encoded name of its field."""
    encoded = {field.name: field.encode_name for field in fields.values()}
    aliases: Mapping[str, str] = getattr(cls, "aliases", {})
    return {alias: encoded.get(field, field) for alias, field in aliases.items()} | {
        name: name for name in fields
    }


def _unknown(
    key: str,
    value: Any,
    known: Collection[str],
    loc: Loc,
    findings: Findings,
    *,
    closed: bool,
) -> None:
    name, colon, _ = key.partition(":")
    if colon and value is None:  # what follows may be a credential
        findings.error((*loc, name), "a blank is missing after the colon", "unknown_option")
    elif closed:
        findings.unknown(loc, "option", key, known)
    elif nearest(key, known):
        findings.unknown(loc, "key", key, known)
    else:
        findings.warn((*loc, key), "is not known and ignored", "ignored")


def _takes_none(field: inspect.Field) -> bool:
    return any(isinstance(kind, inspect.NoneType) for kind in alternatives(field.type))


def _decode(kind: type, value: Any) -> Any:
    if kind in (Secret, Path) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"Expected `str`, got `{_kind_of(value)}`")


def _explain(text: str, kind: inspect.Type, loc: Loc, findings: Findings) -> None:
    """Note msgspec's message in other words, never quoting the value, with the place in it."""
    message, at, path = text.rpartition(" - at `$")
    if not at:  # the value itself
        message, path = text, ""
    inner: Loc = tuple(
        int(index) if index else key
        for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path)
        if key or index
    )
    types = _types_at(kind, inner)
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)
    if unknown:
        known = [key for found in types for key in keys_of(found)]
        _unknown(unknown[1], None, known, (*loc, *inner), findings, closed=True)
    else:
        findings.error((*loc, *inner), _reworded(message, types), "wrong_type")


def _reworded(message: str, types: Sequence[inspect.Type]) -> str:
    if message.startswith("Invalid enum value"):
        allowed = [value for found in types for value in choices(found)]
        return "expected one of " + ", ".join(map(repr, allowed)) if allowed else "not allowed"
    words = " or ".join(filter(None, map(expected, types)))
    if "matching regex" in message and words:
        return f"expected {words}"
    if re.fullmatch(r"Expected `str[^`]*`, got `(int|float|number|bool)`", message):
        message += ": put it in quotes"
    message = re.sub(r"`(\w+)", lambda found: "`" + KINDS.get(found[1], found[1]), message)
    return message[:1].lower() + message[1:].replace("`", "")


def _types_at(kind: inspect.Type, place: Loc) -> list[inspect.Type]:
    """The types of what is at a place within a value."""
    found = [kind]
    for step in place:
        inner = [items_of(it) if isinstance(step, int) else values_of(it, step) for it in found]
        found = [it for kinds in inner for it in kinds]
    return found


def _kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "mapping"
    return {"tuple": "list", "float": "number"}.get(type(value).__name__, type(value).__name__)
