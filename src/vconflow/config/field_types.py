"""What the declared type of an option says, for messages, for the reference and for masking."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import inspect

from vconflow.ports.component import (
    EXPECTED,
    LOCAL_FILE_OR_URL,
    LOCAL_PATH,
    SECRET_URL,
    Options,
    Secret,
)

__all__ = [
    "alternatives",
    "choices",
    "describe",
    "description_of",
    "expected",
    "is_secret",
    "is_secret_url",
    "items_of",
    "keys_of",
    "local_paths",
    "plain",
    "values_of",
]

NAMES: dict[type[inspect.Type], str] = {
    inspect.AnyType: "anything",
    inspect.BoolType: "bool",
    inspect.FloatType: "number",
    inspect.IntType: "int",
    inspect.NoneType: "nothing",
    inspect.StrType: "str",
}

SCALARS = {"bool", "int", "number", "str"}


def plain(kind: inspect.Type) -> inspect.Type:
    """The type itself, without description and other annotations."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The members of a union, or the one type that there is."""
    kind = plain(kind)
    if isinstance(kind, inspect.UnionType):
        yield from map(plain, kind.types)
    else:
        yield kind


def is_secret(kind: inspect.Type) -> bool:
    """Whether the type is a credential, or may be one."""
    return any(isinstance(k, inspect.CustomType) and k.cls is Secret for k in alternatives(kind))


def is_secret_url(kind: inspect.Type) -> bool:
    """Whether the type is a URL whose path and parameters may be a credential."""
    return bool(_mark(kind, SECRET_URL))


def expected(kind: inspect.Type) -> str:
    """What a text with a pattern is said to be, empty when nothing is said."""
    return _mark(kind, EXPECTED) or ""


def local_paths(options: Options) -> Iterator[tuple[str, str]]:
    """The options that name a file or folder of this machine, with what they name."""
    info = inspect.type_info(type(options))
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        value = getattr(options, field.name)
        mark = _mark(field.type, LOCAL_PATH) if value else None
        if mark and not (mark == LOCAL_FILE_OR_URL and "://" in value):
            yield field.encode_name, value


def _mark(kind: inspect.Type, mark: str) -> Any:
    """What stands under this name in the `extra` of a type, None when nothing does."""
    if isinstance(kind, inspect.UnionType):
        return next(filter(None, (_mark(one, mark) for one in kind.types)), None)
    if not isinstance(kind, inspect.Metadata):
        return None
    return (kind.extra or {}).get(mark) or _mark(kind.type, mark)


def values_of(kind: inspect.Type, key: str) -> list[inspect.Type]:
    """What may stand under a key of a value of this type, a mapping or an object."""
    found: list[inspect.Type] = []
    for member in alternatives(kind):
        if isinstance(member, inspect.DictType):
            found.append(member.value_type)
        elif isinstance(member, inspect.StructType):
            found += [field.type for field in member.fields if field.encode_name == key]
    return found


def keys_of(kind: inspect.Type) -> list[str]:
    """The keys that an object of this type may have."""
    return [
        field.encode_name
        for member in alternatives(kind)
        if isinstance(member, inspect.StructType)
        for field in member.fields
    ]


def items_of(kind: inspect.Type) -> list[inspect.Type]:
    """What may stand in a list of this type."""
    return [
        member.item_type
        for member in alternatives(kind)
        if isinstance(member, inspect.VarTupleType | inspect.ListType)
    ]


def choices(kind: inspect.Type) -> tuple[str | int | None, ...]:
    """The values of a Literal; empty for other types."""
    return tuple(
        value
        for member in alternatives(kind)
        if isinstance(member, inspect.LiteralType)
        for value in member.values
    )


def description_of(kind: inspect.Type) -> str:
    """What `Meta(description=...)` says about a field, on one line."""
    if isinstance(kind, inspect.Metadata):
        return " ".join((kind.extra_json_schema or {}).get("description", "").split())
    return ""


def describe(kind: inspect.Type) -> str:
    """The type in words a reader of the reference knows, such as `list of str`."""
    members = [k for k in alternatives(kind) if not isinstance(k, inspect.NoneType)]
    words = list(dict.fromkeys(map(_describe_one, members)))
    if SCALARS.issubset(words):
        words = ["scalar", *(word for word in words if word not in SCALARS)]
    return " or ".join(words)


def _inner(kind: inspect.Type) -> str:
    words = describe(kind)
    return f"({words})" if " or " in words else words


def _describe_one(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f'"{value}"' if value == "" else str(value) for value in kind.values)
    if isinstance(kind, inspect.CustomType):
        return "secret" if kind.cls is Secret else str(kind.cls.__name__).lower()
    for container, wording in WORDINGS.items():
        if isinstance(kind, container):
            return wording(kind)
    return NAMES.get(type(kind), type(kind).__name__)


WORDINGS: dict[type[inspect.Type], Callable[[Any], str]] = {
    inspect.VarTupleType: lambda kind: f"list of {_inner(kind.item_type)}",
    inspect.ListType: lambda kind: f"list of {_inner(kind.item_type)}",
    inspect.DictType: lambda kind: (
        "mapping"
        if isinstance(kind.value_type, inspect.AnyType)
        else f"mapping to {_inner(kind.value_type)}"
    ),
    inspect.StructType: lambda kind: (
        "mapping {" + ", ".join(field.encode_name for field in kind.fields) + "}"
    ),
}
