"""The reference of sections, components, variables and routes, from the types themselves."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

from vconflow import registry
from vconflow.api.routes import ROUTES
from vconflow.api.routing import Auth
from vconflow.config.access import ApiKeyKeys, PartnerKeys, RateKeys
from vconflow.config.chains import ChainKeys
from vconflow.config.components import ComponentKeys
from vconflow.config.field_types import describe, description_of
from vconflow.config.types import BatchConfig, FollowerConfig, ImportConfig, RetryConfig
from vconflow.ports.component import Options, Secret
from vconflow.registry import Kind
from vconflow.settings import Settings

__all__ = ["render"]

HEAD = """\
# Reference

Made by `vconflow reference`. The configuration file has the sections `chains`, `links`, `storages`,
`followers`, `api_keys`, `ingress_auth`, `imports` and `tracers`, each a mapping of names of yours;
sections that begin with `x-` are notes. An option that is not listed is an error.
Durations are in seconds. `${NAME}` and `${NAME:-default}` stand for environment variables in every
value of the configuration file; `$${NAME}` is the text `${NAME}`.
"""

EVERY_COMPONENT = """\
## Every link, storage and tracer
"""

RETRY = """\
`retry`:
"""

BATCH = """\
Storages also take `batch`, a number of vCons or:
"""

API_KEYS = """\
## API keys

`api_keys` maps the name of each key to:
"""

RATE_LIMIT = """\
`rate_limit`:
"""

INGRESS_AUTH = """\
## Partner keys

`ingress_auth` maps an ingress list to a key, or to a list of keys. A key is a text, or a mapping:
"""

TRACERS = """\
## Tracers

See [tracing](tracing.md).
"""

FOLLOWERS = """\
## Followers

See [following another server](following.md).
"""

IMPORTS = """\
## Imports

Each is the name of a module, or a mapping. It is imported whenever the configuration is read; one
that is not installed is named by a warning.
"""

ROUTES_HEAD = """\
## Routes

Each is also served below `API_ROOT_PATH`. `/openapi.json` and `/docs` have parameters and answers.
The role is the least that a key needs.
"""

NOT_BUILT = """\
## Not built yet

Configurations that name these load with a warning. An enabled chain that uses one is held: it
accepts vCons and keeps them in its lists until a version with the component starts. The same goes
for [modules of third parties](third-party.md) that are not installed.
"""


ROLES = {
    Auth.READ: "read",
    Auth.WRITE: "write",
    Auth.ADMIN: "admin",
    Auth.PARTNER: "a partner key",
    Auth.STATS: "none, or read",
    Auth.NONE: "none",
}


def render() -> str:
    """The whole reference as Markdown."""
    parts = [
        HEAD,
        "## Chains\n",
        _table(ChainKeys),
        EVERY_COMPONENT,
        _table(ComponentKeys),
        RETRY,
        _table(RetryConfig),
        BATCH,
        _table(BatchConfig),
        "## Links\n",
        *_components(Kind.LINK),
        "## Storages\n",
        *_components(Kind.STORAGE),
        TRACERS,
        *_components(Kind.TRACER),
        FOLLOWERS,
        _table(FollowerConfig),
        API_KEYS,
        _table(ApiKeyKeys),
        RATE_LIMIT,
        _table(RateKeys),
        INGRESS_AUTH,
        _table(PartnerKeys),
        IMPORTS,
        _table(ImportConfig),
        "## Environment\n",
        _table(Settings, "Variable"),
        ROUTES_HEAD,
        _routes(),
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


def _summary(described: object) -> str:
    """The first line of the docstring."""
    return (described.__doc__ or "").strip().partition("\n")[0]


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
    if field.default_factory is not msgspec.NODEFAULT:
        made = field.default_factory()
        # Another one may be of this machine, such as its name.
        return _value(made) if isinstance(made, dict) else ""
    return _value(None if field.default is msgspec.NODEFAULT else field.default)


def _value(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value)
        value = {name: given for name, given in value.items() if given is not None}
    if value is None or isinstance(value, Secret) or value in ("", (), [], {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return f"`{{{', '.join(f'{name}: {given}' for name, given in value.items())}}}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _markdown(rows: Iterable[Iterable[str]]) -> str:
    lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join(lines) + "\n"


def _routes() -> str:
    rows = [
        (
            ", ".join(method for method in route.methods.split() if method != "HEAD"),
            f"`{route.path}`",
            ROLES[route.auth],
            _summary(route.handler).removesuffix("."),
        )
        for route in ROUTES
        if "{asset}" not in route.path
    ]
    return _markdown([("Method", "Path", "Role", "What it does"), ("---",) * 4, *rows])


def _missing() -> Iterator[str]:
    for kind, names in registry.NOT_BUILT.items():
        if not names:
            continue
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        yield f"{kind.value.capitalize()}s: {listed}.\n"
