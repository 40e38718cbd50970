"""What one configuration makes of the pipeline, and the change from one to the next."""

from collections.abc import Callable
from dataclasses import dataclass

from vconflow.pipeline.chain import Chain, Chains
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.processor import Processor
from vconflow.pipeline.usage import Usage

__all__ = ["Generation", "Generations"]


@dataclass(frozen=True, eq=False)
class Generation:
    """Everything that belongs to one configuration.

    An attempt begins and ends in one generation and is in its `usage` meanwhile. A retired one
    lives on until its last attempt has ended.
    """

    chains: Chains
    fanout: Fanout
    processor: Processor

    @property
    def usage(self) -> Usage:
        """Who works with this generation."""
        return self.fanout.usage

    def runs(self, list_name: str) -> Chain | None:
        """The chain that works off a list now; a held one does not."""
        chain = self.chains.by_list.get(list_name)
        return None if chain is None or chain.held else chain


class Generations:
    """The generation in force, and those that still have something to finish."""

    def __init__(
        self, processor: Callable[[Fanout], Processor], chains: Chains, fanout: Fanout
    ) -> None:
        self._processor = processor
        self.current = self._make(chains, fanout)
        self._live = [self.current]

    def _make(self, chains: Chains, fanout: Fanout) -> Generation:
        return Generation(chains, fanout, self._processor(fanout))

    def chains(self) -> Chains:
        """The chains in force."""
        return self.current.chains

    def fanout(self) -> Fanout:
        """The storages in force."""
        return self.current.fanout

    def swap(self, chains: Chains, fanout: Fanout) -> Generation:
        """Put another generation in force and return the one that retires."""
        before, self.current = self.current, self._make(chains, fanout)
        self._live.append(self.current)
        return before

    async def ended(self, retired: Generation) -> None:
        """Wait until nobody works with a retired generation; what only it used is idle then."""
        await retired.usage.ended()
        self._live.remove(retired)
        kept = {writer for generation in self._live for writer in generation.fanout.writers}
        await retired.fanout.stop(kept)

    async def stop(self) -> None:
        """Give up batches under way: those who wanted them have stopped waiting."""
        for generation in self._live:
            await generation.fanout.stop()
