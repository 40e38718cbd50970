"""Expire: let the vCon leave Redis some time after its chain has finished."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Self

from msgspec import Meta

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

__all__ = ["ExpireVconLink", "ExpireVconOptions"]


class ExpireVconOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `expire_vcon`."""

    seconds: Annotated[
        int, Meta(ge=1, description="How long the vCon stays in Redis after its chain.")
    ] = 86400


class ExpireVconLink:
    """Sets the time to live of the document in Redis; storages keep theirs."""

    options: ClassVar[type[Options]] = ExpireVconOptions
    repeatable: ClassVar[bool] = True

    def __init__(self, options: ExpireVconOptions) -> None:
        self._seconds = options.seconds

    @classmethod
    @asynccontextmanager
    async def open(cls, options: ExpireVconOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the link; it holds nothing."""
        yield cls(options)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Ask for the expiry."""
        run.expire(self._seconds)
        return CONTINUE
