"""The reference of all links, storages, settings and their options, from the types themselves."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

from vconflow import registry
from vconflow.config.field_types import describe, description_of
from vconflow.config.types import BatchConfig, RetryConfig
from vconflow.ports.component import Options, Secret
from vconflow.registry import Kind
from vconflow.settings import Settings

__all__ = ["render"]

HEAD = """\
# Reference

Made from the option types by `vconflow reference`. An option that is not listed is an error.
Durations are in seconds. `${NAME}` and `${NAME:-default}` stand for environment variables in every
value of the configuration file; `$${NAME}` is the text `${NAME}`.
"""

EVERY_LINK = """\
Every link also takes `timeout` (60) for one attempt, and `retry`:
"""

EVERY_STORAGE = """\
Every storage also takes `timeout` (60) for one write, `retry` as links do, and `batch`, a number of
vCons or:
"""

NOT_BUILT = """\
## Not built yet

Configurations that name these load with a warning. An enabled chain that uses one is held: it
accepts vCons and keeps them in its lists until a version with the component starts. The same goes
for third-party modules of the reference conserver's contract. `followers` and `imports` are checked
and not run.
"""


def render() -> str:
    """The whole reference as Markdown."""
    parts = [
        HEAD,
        "## Links\n",
        EVERY_LINK,
        _table(RetryConfig),
        *_components(Kind.LINK),
        "## Storages\n",
        EVERY_STORAGE,
        _table(BatchConfig),
        *_components(Kind.STORAGE),
        "## Environment\n",
        _table(Settings, "Variable"),
        NOT_BUILT,
        *_missing(),
    ]
    return "\n".join(parts)


def _components(kind: Kind) -> Iterator[str]:
    for name, target in sorted(registry.BUILT_IN[kind].items()):
        component = registry.load(target)
        yield f"### {name}\n"
        yield f"{_summary(component)}\n"
        yield _table(component.options)


def _summary(component: type) -> str:
    """The first line of the docstring."""
    return (component.__doc__ or "").strip().partition("\n")[0]


def _table(cls: type[msgspec.Struct], title: str = "Option") -> str:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    if not info.fields:
        return "No options.\n"
    spellings = _spellings(cls) if issubclass(cls, Options) else {}
    rows = [
        (
            " or ".join(f"`{name}`" for name in [f.encode_name, *spellings.get(f.name, ())]),
            describe(f.type),
            _default(f),
            description_of(f.type),
        )
        for f in info.fields
    ]
    return _markdown([(title, "Type", "Default", "Description"), ("---",) * 4, *rows])


def _spellings(cls: type[Options]) -> dict[str, list[str]]:
    """Further spellings by the name of the field."""
    by_name: dict[str, list[str]] = {}
    for alias, field in cls.aliases.items():
        by_name.setdefault(field, []).append(alias)
    return by_name


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default_factory not in (msgspec.NODEFAULT, dict, list):
        return ""
    return _value(None if field.default is msgspec.NODEFAULT else field.default)


def _value(value: Any) -> str:
    if value is None or isinstance(value, Secret) or value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _markdown(rows: Iterable[Iterable[str]]) -> str:
    lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join(lines) + "\n"


def _missing() -> Iterator[str]:
    for kind, names in registry.NOT_BUILT.items():
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        yield f"{kind.value.capitalize()}s: {listed}.\n"
