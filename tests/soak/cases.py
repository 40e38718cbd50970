"""What is known of each vCon that was sent, from the outside only."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Literal
from uuid import UUID

__all__ = ["Case", "Cases"]

POISONED, CHANGED, DELETED = 0.02, 0.06, 0.03
"""Which part of the vCons."""
HEALED_AFTER = 2


@dataclass(slots=True)
class Case:
    """One vCon. Times are those of the monotonic clock, 0 means never.

    `sends` counts the POSTs that were or may have been accepted. `wish` is what is done to it
    while its chain runs. `hooks` has the times of the webhook's 2xx answers by entry.
    """

    uuid: str
    template: int
    poison: Literal["", "healing", "lasting"] = ""
    wish: Literal["", "change", "delete"] = ""
    accepted: float = 0.0
    sends: int = 0
    refusals: int = 0
    met: bool = False
    """The webhook has seen it."""
    changed: float = 0.0
    deleted: float = 0.0
    unsure: bool = False
    """A change or deletion whose outcome nobody knows."""
    was_dead: bool = False
    hooks: dict[str, list[float]] = field(default_factory=dict)
    pops: dict[str, list[float]] = field(default_factory=dict)

    @property
    def is_poisoned(self) -> bool:
        """Whether the webhook refuses it now."""
        lasting = self.poison == "lasting"
        return lasting or (self.poison == "healing" and self.refusals < HEALED_AFTER)

    @property
    def changed_in_chain(self) -> bool:
        """Whether the change was accepted before the first chain could finish."""
        last = max((times[-1] for times in self.hooks.values()), default=0.0)
        return 0.0 < self.changed < last


class Cases:
    """All of them, by uuid, and what does not belong to one alone."""

    def __init__(self, seed: int, templates: int) -> None:
        self._random = Random(seed)
        self._templates = templates
        self.all: dict[str, Case] = {}
        self.counts: Counter[str] = Counter()
        """Of what happened on the way: lost answers, 503s, and the like."""
        self.problems: list[str] = []
        """What must not happen, in words."""

    def new(self) -> Case:
        """A vCon that was not there before."""
        random = self._random
        uuid = str(UUID(int=random.getrandbits(128), version=4))
        draw = random.random()
        case = Case(uuid, random.randrange(self._templates))
        if draw < POISONED:
            case.poison = random.choice(("healing", "lasting"))
        elif draw < POISONED + CHANGED:
            case.wish = "change"
        elif draw < POISONED + CHANGED + DELETED:
            case.wish = "delete"
        self.all[uuid] = case
        return case

    def accepted(self) -> Iterator[Case]:
        """Those for which a 2xx came."""
        return (case for case in self.all.values() if case.accepted)

    def problem(self, text: str) -> None:
        """Note what must not happen; the first hundred."""
        self.counts["problems"] += 1
        if len(self.problems) < 100:
            self.problems.append(text)
