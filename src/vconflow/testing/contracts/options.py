"""What is true of the options of every component."""

from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec

from vconflow.ports.component import Options

__all__ = ["undescribed"]


def undescribed(options: type[Options]) -> list[str]:
    """The names of all options that have no description."""
    hints = get_type_hints(options, include_extras=True)
    return [
        field.name
        for field in msgspec.structs.fields(options)
        if not any(getattr(meta, "description", None) for meta in _metas(hints[field.name]))
    ]


def _metas(hint: object) -> tuple[object, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()
