"""Which vCons a link works on: the reference's `only_if` and `sampling_rate`."""

import json
import random
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from vconflow.model import tags
from vconflow.model.vcon import Vcon
from vconflow.ports.link import LinkRun

__all__ = ["OnlyIf", "body_text", "in_sample"]


class OnlyIf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The vCons that have an analysis or attachment with something in its body.

    `purpose` and `type` are the same. Of tags, `includes` is a whole tag, `name:value`; of anything
    else a part of its text. Empty, it lets every vCon pass.
    """

    section: Literal["attachments", "analysis"] | None = None
    type: str | None = None
    purpose: str | None = None
    includes: str | None = None

    def __post_init__(self) -> None:
        given = (self.section, self.purpose or self.type, self.includes)
        if any(given) and not all(given):
            raise ValueError("needs section, type (or purpose) and includes")

    def __call__(self, vcon: Vcon) -> bool:
        """Whether the vCon is one of them."""
        if self.section is None:
            return True
        items = vcon.attachments if self.section == "attachments" else vcon.analysis
        return any(self._is_named(item) and self._includes(item) for item in items)

    def _is_named(self, item: Mapping[str, Any]) -> bool:
        # The draft renamed `type` to `purpose` for attachments only.
        spellings = ("purpose", "type") if self.section == "attachments" else ("type",)
        return (self.purpose or self.type) in [item.get(spelling) for spelling in spellings]

    def _includes(self, item: Mapping[str, Any]) -> bool:
        if tags.is_tags(item):
            return self.includes in tags.read_tags(item)
        return (self.includes or "") in body_text(item)


def body_text(item: Mapping[str, Any]) -> str:
    """The body of an analysis or attachment as text: itself, or as JSON; empty without one."""
    body = item.get("body")
    if body is None:
        return ""
    # Spaced as the reference spaces it: what is looked for may contain a colon or comma.
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)


def in_sample(rate: float, run: LinkRun) -> bool:
    """Whether a link that takes this part (0 to 1) of all vCons takes this one.

    Drawn by the entry, so that every attempt meets the same fate: a retry of one that was taken
    would else be dropped in most cases, with its work half done.
    """
    return random.Random(run.idempotency_key).random() < rate
