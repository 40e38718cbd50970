"""A few curves over the same sizes, as a plot and as figures."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.harness.figures import Figure, Options, Sample, Target, figure_of
from benchmarks.harness.plot import draw

__all__ = ["LEVEL", "Curves", "cost_of", "steps"]

LEVEL = Target(1.25, at_most=True)
"""How much more than at the smallest size still counts as level: about what noise makes."""
_MOST_WINDOWS = 3


@dataclass
class Curves:
    """`of` names what grows and `axis` its unit; `unit` is what is counted at every size."""

    of: str
    axis: str
    unit: str
    target: Target | None = LEVEL
    sizes: list[int] = field(default_factory=list)
    costs: dict[str, list[float]] = field(default_factory=dict)

    def add(self, size: int, costs: Mapping[str, float]) -> None:
        """Note what was measured at one size, by the name of the curve."""
        self.sizes.append(size)
        for name, cost in costs.items():
            self.costs.setdefault(name, []).append(cost)

    def finish(self, plots: Path) -> Iterator[Figure]:
        """Draw the plot; a figure per curve, of the largest size beside the smallest."""
        labels = [f"{size:,}" for size in self.sizes]
        axes = (self.axis, self.unit)
        draw(
            plots / f"{self.of}.svg",
            f"CPU time of server and Valkey: {self.unit}",
            axes,
            labels,
            self.costs,
        )
        for name, costs in self.costs.items():
            figure = figure_of(
                f"growth, {self.of}, {name}",
                f"the same at {labels[0]} {self.axis} instead of {labels[-1]}",
                [(Sample(costs[-1]), Sample(costs[0]))],
                target=self.target,
                unit=self.unit,
            )
            points = (f"{label}: {cost:,.4g}" for label, cost in zip(labels, costs, strict=True))
            yield msgspec.structs.replace(figure, note=f"{self.unit} at {', '.join(points)}")


def steps(largest: int, options: Options) -> list[int]:
    """1, 10, 100 and so on, and at the end so much of the largest size as was asked for."""
    end = max(2, int(largest * options.scale))
    return [10**power for power in range(len(str(end - 1)))] + [end]


async def cost_of(measure: Callable[[float], Awaitable[Sample]], options: Options) -> float:
    """Microseconds of CPU per vCon, over a few windows after one that does not count."""
    await measure(options.seconds)
    windows = min(options.windows, _MOST_WINDOWS)
    samples = []
    for _ in range(windows):
        samples.append(await measure(options.seconds))
        options.advance("growth")
    return median(sum(sample.cpu.values()) for sample in samples)
