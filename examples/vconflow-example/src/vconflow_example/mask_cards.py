"""Mask the numbers of payment cards in texts."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Self

from msgspec import Meta

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

__all__ = ["MaskCardsLink", "MaskCardsOptions"]

CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")


class MaskCardsOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `mask_cards`."""

    keep: Annotated[int, Meta(ge=0, le=6, description="Digits at the end that stay.")] = 4


class MaskCardsLink:
    """Replaces the digits of card numbers in text dialogs by `*`."""

    options: ClassVar[type[Options]] = MaskCardsOptions
    # Run twice it changes nothing more, so that the engine may save a write.
    repeatable: ClassVar[bool] = True

    def __init__(self, options: MaskCardsOptions) -> None:
        self._keep = options.keep

    @classmethod
    @asynccontextmanager
    async def open(cls, options: MaskCardsOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the link; a client or a pool would be opened here, and closed after the yield."""
        yield cls(options)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Mask what is found. Raise Retryable or Permanent for what goes wrong."""
        for dialog in vcon.edit("dialog"):
            if dialog.get("type") == "text" and isinstance(dialog.get("body"), str):
                dialog["body"] = CARD.sub(self._mask, dialog["body"])
        return CONTINUE

    def _mask(self, found: re.Match[str]) -> str:
        digits = found[0]
        kept = digits[len(digits) - self._keep :]
        return "*" * (len(digits) - len(kept)) + kept
