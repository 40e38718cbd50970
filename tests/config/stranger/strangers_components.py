"""Components of a stranger, as a configuration names them: `strangers_components:EchoLink`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Literal, Self

import msgspec
from msgspec import Meta

from vconflow.ports.component import Options, Resources, Secret


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str = "nobody"
    password: Secret | None = None


class EchoOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: Annotated[int, Meta(ge=1, le=65535, description="The port.")] = 1
    loud: bool = False
    mode: Literal["slow", "fast"] = "slow"
    names: tuple[str, ...] = ()
    target_url: str = msgspec.field(name="target-url", default="")
    api_key: Secret | None = None
    keys: tuple[Secret, ...] = ()
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    login: Login | None = None
    mixed: dict[str, Secret] | str = ""
    note: str | None = "none given"

    aliases: ClassVar[dict[str, str]] = {"API_KEY": "api_key", "url": "target_url"}

    def __post_init__(self) -> None:
        if self.loud and self.mode == "slow":
            raise ValueError("loud needs mode fast")


class NeedyOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    question: str


class EchoLink:
    options: ClassVar[type[Options]] = EchoOptions

    @classmethod
    @asynccontextmanager
    async def open(cls, options: EchoOptions, resources: Resources) -> AsyncIterator[Self]:
        yield cls()


class NeedyLink(EchoLink):
    options: ClassVar[type[Options]] = NeedyOptions


class NoComponent:
    pass
