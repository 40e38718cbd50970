"""Tag: write fixed tags into the vCon."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Self

from msgspec import Meta

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

__all__ = ["TagLink", "TagOptions"]

Value = str | int | float | bool


class TagOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `tag`."""

    tags: Annotated[
        tuple[Value | dict[str, Value], ...] | dict[str, Value],
        Meta(
            description="The tags: a mapping name to value, or a list of `name:value`, of mappings "
            "and of bare names, whose value is the name itself."
        ),
    ] = ()


class TagLink:
    """Adds every configured tag; one that is there already changes nothing."""

    options: ClassVar[type[Options]] = TagOptions
    repeatable: ClassVar[bool] = True

    def __init__(self, options: TagOptions) -> None:
        self._tags = tuple(dict.fromkeys(_pairs(options.tags)))

    @classmethod
    @asynccontextmanager
    async def open(cls, options: TagOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the link; it holds nothing."""
        yield cls(options)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Tag the vCon. Raises Permanent when it is signed or encrypted."""
        for name, value in self._tags:
            vcon.add_tag(name, value)
        return CONTINUE


def _pairs(
    tags: "tuple[Value | dict[str, Value], ...] | dict[str, Value]",
) -> Iterator[tuple[str, str]]:
    if isinstance(tags, Mapping):
        yield from _named(tags)
        return
    for tag in tags:
        if isinstance(tag, Mapping):
            yield from _named(tag)
        else:
            yield _split(str(tag))


def _named(tags: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    # The reference writes one tag per list item also as `{name: source, value: phone}`.
    if tags.keys() == {"name", "value"}:
        yield str(tags["name"]), str(tags["value"])
    else:
        yield from ((name, str(value)) for name, value in tags.items())


def _split(tag: str) -> tuple[str, str]:
    for separator in ":=":
        name, found, value = tag.partition(separator)
        if found:
            return name.strip(), value.strip()
    return tag, tag
