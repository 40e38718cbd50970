"""What a link or a storage is given when it opens, and how options are written.

A component is a class with an options Struct and an `open` class method that is an async context
manager: everything it acquires is released when the context ends.
"""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import msgspec

from vconflow.ports.clock import Clock
from vconflow.ports.documents import DocumentSaver
from vconflow.ports.fetcher import Fetcher
from vconflow.ports.http import HttpSender
from vconflow.ports.modules import ModuleHost, NoModules
from vconflow.ports.redaction import MASK

if TYPE_CHECKING:
    from vconflow.ports.objects import Objects  # which needs `Secret`
    from vconflow.ports.providers import Providers

__all__ = [
    "EXPECTED",
    "LOCAL_FILE_OR_URL",
    "LOCAL_PATH",
    "SECRET_URL",
    "Component",
    "NoOptions",
    "Options",
    "Resources",
    "Secret",
]


SECRET_URL = "secret_url"  # noqa: S105  # a mark, no password
"""Marks the type of a URL whose path and parameters may be a credential, as those of many webhooks
are: `Annotated[str, Meta(extra={SECRET_URL: True})]`."""

EXPECTED = "expected"
"""What errors say of a text in place of its pattern, which not everybody can read:
`Annotated[str, Meta(pattern="^/", extra={EXPECTED: "a path that begins with /"})]`."""

LOCAL_PATH = "local_path"
"""Marks a text that names a file or folder of this machine, as `SECRET_URL` marks. A configuration
that came over HTTP may name only what the file does, what is below that, and the data folder."""

LOCAL_FILE_OR_URL = "local_file_or_url"
"""The value of `LOCAL_PATH` for a text that names none when it has `://` in it."""


class Secret:
    """A credential in an option: shown as `***` everywhere but through `reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the credential itself, for the driver only."""
        return self._value

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it: `${NAME:-}` of a variable that is not set."""
        return not self._value.strip()

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every component's options: closed, typed, documented field by field.

    Each field is `Annotated[type, Meta(description="...")]` with a default. A spelling of the
    reference that is no Python name is given by `msgspec.field(name="webhook-urls")`; further
    accepted spellings stand in `aliases`, spelling → field. A credential has the type `Secret`; a
    file or folder of this machine is marked as `LOCAL_PATH`.
    """

    aliases: ClassVar[dict[str, str]] = {}
    is_open: ClassVar[bool] = False
    """Whether the values are known to nobody but the component: they are all shown as secrets."""


class NoOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For components that have nothing to configure."""


@dataclass(frozen=True)
class Resources:
    """What the process shares with its components. `name` is the component's configured name."""

    name: str
    http: HttpSender
    fetcher: Fetcher
    documents: DocumentSaver
    objects: "Objects"
    clock: Clock
    data_dir: Path
    providers: "Providers"
    random: Callable[[], float] = field(default=random.random)
    modules: ModuleHost = field(default_factory=NoModules)


OptionsT = TypeVar("OptionsT", bound=Options, contravariant=True)


class Component(Protocol[OptionsT]):
    """How the registry opens any link or storage."""

    @classmethod
    def open(cls, options: OptionsT, resources: Resources) -> AbstractAsyncContextManager[Self]: ...


AnyComponent = type[Component[Any]]
