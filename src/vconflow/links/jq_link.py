"""jq_link: let only vCons pass that match a jq filter, or only those that do not."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Final, Literal, Self

import jq
from msgspec import Meta

from vconflow.errors import Permanent
from vconflow.links.filtering.process import Filter, open_filter
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome

__all__ = ["JqLink", "JqOptions"]

_MEMORY: Final = 2 << 30
# They stand at the beginning only, and read files of this machine.
_MODULES: Final = re.compile(r"(?:\s|#[^\n\r]*)*(?:import|include|module)\b")


class JqOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `jq_link`."""

    filter: Annotated[
        str,
        Meta(
            description="The jq filter. A vCon matches when its first result is neither missing "
            'nor null, false, 0, "", [] or {}.'
        ),
    ] = "."
    forward_matches: Annotated[
        bool, Meta(description="Whether those that match go on, or those that do not.")
    ] = True
    on_error: Annotated[
        Literal["halt", "fail"],
        Meta(
            description="What becomes of a vCon on which the filter raises an error, as in "
            "`.subject + 1`: `halt` ends its chain, `fail` makes it a dead letter."
        ),
    ] = "halt"
    seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="Processor time that the filter may take for one vCon; of memory it may "
            "take 2 GiB. With more, the vCon becomes a dead letter.",
        ),
    ] = 10.0

    def __post_init__(self) -> None:
        if _MODULES.match(self.filter):
            raise ValueError("filter: modules cannot be used here")
        try:
            jq.compile(self.filter)
        except ValueError as error:
            raise ValueError(f"filter: {_first_line(error)}") from None


class JqLink:
    """Halts what does not match. The filter runs in a process of its own, without environment."""

    options: ClassVar[type[Options]] = JqOptions
    repeatable: ClassVar[bool] = True

    def __init__(self, options: JqOptions, running: Filter) -> None:
        self._options = options
        self._filter = running

    @classmethod
    @asynccontextmanager
    async def open(cls, options: JqOptions, resources: Resources) -> AsyncIterator[Self]:
        """Start the process of the filter."""
        seconds = options.seconds
        async with open_filter(options.filter, seconds=seconds, memory=_MEMORY) as running:
            yield cls(options, running)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Continue or halt. Raises Permanent when the filter takes more than it may."""
        matches = await self._filter.matches(vcon.to_bytes())
        if matches is None:
            # jq's own words quote the conversation.
            if self._options.on_error == "fail":
                raise Permanent("the filter raises an error on this vCon")
            return Halt("the filter raises an error")
        if matches == self._options.forward_matches:
            return CONTINUE
        return Halt("the filter matches" if matches else "the filter does not match")


def _first_line(error: ValueError) -> str:
    return str(error).partition("\n")[0].removeprefix("jq: error: ")
