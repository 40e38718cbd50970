"""Tag router: put the vCon on lists according to its tags."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from typing import Annotated, ClassVar, Self

import msgspec
from msgspec import Meta

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome, Route

__all__ = ["TagRouterLink", "TagRouterOptions"]


class TagRouterOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `tag_router`."""

    tag_routes: Annotated[
        dict[str, str | tuple[str, ...]],
        Meta(description="Tag to list or lists. A tag is named alone or as `name:value`."),
    ] = msgspec.field(default_factory=dict)
    forward_original: Annotated[
        bool,
        Meta(
            description="Whether a vCon that was put on other lists also goes on in this chain. "
            "One that matches no route always goes on."
        ),
    ] = True


class TagRouterLink:
    """Routes by tag; each list receives the vCon once, however many of its tags match.

    `routes` are all lists that may receive one.
    """

    options: ClassVar[type[Options]] = TagRouterOptions
    repeatable: ClassVar[bool] = True

    def __init__(self, options: TagRouterOptions) -> None:
        self._go_on = options.forward_original
        self._routes = {
            tag: (lists,) if isinstance(lists, str) else lists
            for tag, lists in options.tag_routes.items()
        }
        self.routes = tuple(dict.fromkeys(chain.from_iterable(self._routes.values())))

    @classmethod
    @asynccontextmanager
    async def open(cls, options: TagRouterOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the link; it holds nothing."""
        yield cls(options)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Route the vCon. Without a match it goes on, or ends here when nothing is forwarded."""
        lists = tuple(
            dict.fromkeys(target for name in _names(vcon) for target in self._routes.get(name, ()))
        )
        if lists:
            return Route(lists, go_on=self._go_on)
        return CONTINUE if self._go_on else Halt("no route for its tags")


def _names(vcon: Vcon) -> Iterator[str]:
    """Yield what a route may be called: each tag whole, then its name."""
    for tag in vcon.tags:
        yield tag
        name, separator, _ = tag.partition(":")
        if separator:
            yield name
