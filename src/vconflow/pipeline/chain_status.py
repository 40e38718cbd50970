"""How each chain does, for people."""

from collections.abc import Mapping, Sequence

import msgspec

from vconflow.pipeline.replica import Replica
from vconflow.ports.chain_control import ChainDescription, ChainStatus, ListStatus
from vconflow.ports.stream import EntryStream, ListDepth

__all__ = ["measure_chains"]


async def measure_chains(
    chains: Sequence[ChainDescription], replica: Replica, stream: EntryStream
) -> list[ChainStatus]:
    """Describe chains with what their lists hold and what this replica does. Raises Unavailable."""
    lists = dict.fromkeys(name for chain in chains for name in chain.ingress_lists)
    depths = await stream.depth(list(lists)) if lists else {}
    return [_status(chain, replica, stream.consumer, depths) for chain in chains]


def _status(
    chain: ChainDescription, replica: Replica, name: str, depths: Mapping[str, ListDepth]
) -> ChainStatus:
    lists = {
        it: ListStatus(depths[it].waiting, depths[it].pending, depths[it].dead, depths[it].oldest)
        for it in chain.ingress_lists
    }
    return ChainStatus(
        **msgspec.structs.asdict(chain),
        paused=chain.name in replica.pauses.names,
        lists=lists,
        depth=sum(it.depth for it in lists.values()),
        oldest_seconds=max((it.oldest_seconds for it in lists.values()), default=0.0),
        pending=sum(it.pending for it in lists.values()),
        dead=sum(it.dead for it in lists.values()),
        in_flight=replica.consumer.inflight(chain.name),
        retrying=replica.consumer.waiting(chain.name),
        rate=round(replica.rate(chain.name), 3),
        replica=name,
    )
