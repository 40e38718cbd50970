"""Sampler: let a part of the vCons through and halt the rest."""

import hashlib
import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Literal, Self

from msgspec import Meta

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome

__all__ = ["SamplerLink", "SamplerOptions"]


class SamplerOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `sampler`."""

    method: Annotated[
        Literal["percentage", "rate", "modulo", "time_based"],
        Meta(
            description="`percentage`: each vCon with a probability of `value` percent. `rate`: on "
            "average one in `value` seconds per replica, at random intervals. `modulo`: one in "
            "`value` vCons, always the same ones, by a hash of the uuid. `time_based`: those that "
            "come in a second whose Unix time is a multiple of `value`."
        ),
    ] = "percentage"
    value: Annotated[
        float, Meta(ge=0, description="What the method says; 0 lets nothing through.")
    ] = 50
    seed: Annotated[
        int | str | None,
        Meta(
            description="Makes chance repeatable: with the same seed, `percentage` keeps the same "
            "vCons and `rate` has the same intervals."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.method in ("modulo", "time_based") and self.value % 1:
            raise ValueError(f"value of method {self.method} must be a whole number")


class SamplerLink:
    """Halts what is not in the sample.

    The state of `rate` lives in the process: a restart begins with a vCon that is kept.
    """

    options: ClassVar[type[Options]] = SamplerOptions

    def __init__(self, options: SamplerOptions, resources: Resources) -> None:
        methods: dict[str, Callable[[str], bool]] = {
            "percentage": self._by_percentage,
            "rate": self._by_rate,
            "modulo": self._by_modulo,
            "time_based": self._by_time,
        }
        self._keeps = methods[options.method]
        self._value = options.value
        self._seed = options.seed
        self._clock = resources.clock
        self._draw = resources.random if self._seed is None else random.Random(self._seed).random
        self._next_kept_at = -math.inf

    @classmethod
    @asynccontextmanager
    async def open(cls, options: SamplerOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the link."""
        yield cls(options, resources)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Go on with a vCon of the sample."""
        if self._value and self._keeps(vcon.uuid):
            return CONTINUE
        return Halt("not in the sample")

    def _by_percentage(self, uuid: str) -> bool:
        draw = self._draw
        if self._seed is not None:
            # Seeded by uuid too, so that a vCon that comes again meets the same fate.
            draw = random.Random(f"{self._seed} {uuid}").random
        return draw() * 100 < self._value

    def _by_rate(self, uuid: str) -> bool:
        now = self._clock.monotonic()
        if now < self._next_kept_at:
            return False
        self._next_kept_at = now - math.log(1 - self._draw()) * self._value
        return True

    def _by_modulo(self, uuid: str) -> bool:
        # The reference's hash, so that a move to vconflow keeps the same sample.
        digest = hashlib.sha256(uuid.encode()).digest()
        return int.from_bytes(digest[:4], "big") % int(self._value) == 0

    def _by_time(self, uuid: str) -> bool:
        return int(self._clock.now()) % int(self._value) == 0
