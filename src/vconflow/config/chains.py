"""The section `chains`, and what must be true of all chains together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from vconflow.config.conversion import convert_struct
from vconflow.config.findings import Findings, Loc
from vconflow.config.types import (
    ChainConfig,
    Count,
    LinkConfig,
    Positive,
    StorageConfig,
    TracerConfig,
)

__all__ = ["ChainKeys", "Components", "read_chains"]

Name = Annotated[str, Meta(min_length=1)]
Names = tuple[Name, ...]

_MOST_LISTS: Final = 20_000
"""Redis is asked about each of them several times a minute."""


class Components(msgspec.Struct, frozen=True, kw_only=True):
    """What chains may name. `names` holds all of a section, those with an error too."""

    links: Mapping[str, LinkConfig]
    storages: Mapping[str, StorageConfig]
    tracers: Mapping[str, TracerConfig]
    names: Mapping[str, Collection[str]]


class ChainKeys(msgspec.Struct, kw_only=True):
    """What may be written about one chain."""

    links: Annotated[Names, Meta(description="Names of links, in the order they are run.")] = ()
    storages: Annotated[Names, Meta(description="Names of storages, written in parallel.")] = ()
    ingress_lists: Annotated[
        Names, Meta(description="What it takes; a list feeds at most one enabled chain.")
    ] = ()
    egress_lists: Annotated[
        Names, Meta(description="Where a vCon is put when all storages have it.")
    ] = ()
    tracers: Annotated[
        Names | None,
        Meta(
            description="Names of tracers, told of every step. Unset: none, or all tracers when no "
            "chain of the file says `tracers`."
        ),
    ] = None
    enabled: Annotated[
        bool, Meta(description="With `false` the chain accepts nothing and does not run.")
    ] = True
    concurrency: Annotated[
        Count | None,
        Meta(description="vCons under way at once; unset, `VCONFLOW_CHAIN_CONCURRENCY`."),
    ] = None
    timeout: Annotated[
        Positive | None, Meta(description="Seconds for all links of one attempt; unset, no limit.")
    ] = None


def read_chains(
    section: Mapping[str, Any], components: Components, findings: Findings
) -> dict[str, ChainConfig]:
    """Read every chain; those with an error are left out and noted."""
    chains = {}
    unsaid = () if _any_says_tracers(section) else _usable(components.tracers)
    for name, raw in section.items():
        loc = ("chains", name)
        _check_names(raw, components, loc, findings)
        keys = convert_struct(ChainKeys, raw, loc, findings, closed=False)
        if keys is None:
            continue
        held = _held(keys, components) if keys.enabled else None
        if held:
            message = f"held: it accepts and keeps its vCons, and does not run; {held}"
            findings.warn(loc, message, "held")
        values = msgspec.structs.asdict(keys)
        if keys.tracers is None:
            values["tracers"] = unsaid
        chains[name] = ChainConfig(name=name, held=held, **values)
    _check_lists(chains, findings)
    return chains


def _any_says_tracers(section: Mapping[str, Any]) -> bool:
    """Whether tracers are given per chain; the reference knows only tracers of all chains."""
    said = (raw.get("tracers") for raw in section.values() if isinstance(raw, Mapping))
    return any(names is not None for names in said)


def _usable(tracers: Mapping[str, TracerConfig]) -> tuple[str, ...]:
    return tuple(name for name, tracer in tracers.items() if tracer.unbuilt is None)


def _check_names(raw: Any, components: Components, loc: Loc, findings: Findings) -> None:
    """Check what the chain names, as far as it is written as lists of names."""
    for section, what in (("links", "link"), ("storages", "storage"), ("tracers", "tracer")):
        used = raw.get(section) if isinstance(raw, Mapping) else None
        names = [name for name in used if isinstance(name, str)] if isinstance(used, list) else []
        before: set[str] = set()
        for index, name in enumerate(names):
            place = (*loc, section, index)
            if name not in components.names[section]:
                findings.unknown(place, what, name, components.names[section])
            elif name in before:
                # Progress is kept by name: a chain could not tell the two apart after a crash.
                message = f"{what} {name!r} is in this chain twice; give the second its own name"
                findings.error(place, message, "duplicate")
            before.add(name)


def _held(keys: ChainKeys, components: Components) -> str | None:
    """Why the chain cannot run with this version, naming every component that is missing."""
    by_reason: dict[str, list[str]] = {}
    for reason, text in _missing(keys, components):
        by_reason.setdefault(reason, []).append(text)
    return "; ".join(f"{reason}: {', '.join(texts)}" for reason, texts in by_reason.items()) or None


def _missing(keys: ChainKeys, components: Components) -> Iterator[tuple[str, str]]:
    for what, names, known in (
        ("link", keys.links, components.links),
        ("storage", keys.storages, components.storages),
        ("tracer", keys.tracers or (), components.tracers),
    ):
        for name in names:
            component = known.get(name)
            if component and component.unbuilt:
                reason = component.unbuilt.removeprefix(f"{component.module} is ")
                yield reason, f"{what} {name!r} ({component.module})"


def _check_lists(chains: Mapping[str, ChainConfig], findings: Findings) -> None:
    """A list feeds at most one enabled chain, and an enabled chain is fed by some list."""
    if sum(len(it.ingress_lists) + len(it.egress_lists) for it in chains.values()) > _MOST_LISTS:
        message = f"name more than {_MOST_LISTS} lists; start several vconflow instead"
        findings.error(("chains",), message, "too_long")
        return
    owners: dict[str, str] = {}
    for chain in chains.values():
        if not chain.enabled:
            continue
        loc = ("chains", chain.name)
        if not chain.ingress_lists:
            findings.warn(loc, "has no ingress list and never runs", "no_ingress")
        for index, name in enumerate(chain.ingress_lists):
            if "," in name or name != name.strip():
                message = f"no request can name {name!r}: commas separate lists, blanks are dropped"
                findings.warn((*loc, "ingress_lists", index), message, "unnameable")
            owner = owners.setdefault(name, chain.name)
            if owner != chain.name:
                message = f"list {name!r} already feeds chain {owner!r}; a list feeds one chain"
                findings.error((*loc, "ingress_lists", index), message, "duplicate")
        fed = set(chain.ingress_lists)
        for index, name in enumerate(chain.egress_lists):
            if name in fed:
                message = f"list {name!r} feeds this chain: its vCons go round without end"
                findings.warn((*loc, "egress_lists", index), message, "loop")
    _check_ring([chain for chain in chains.values() if chain.enabled], owners, findings)


def _check_ring(
    chains: Sequence[ChainConfig], owners: Mapping[str, str], findings: Findings
) -> None:
    """Warn of several chains that feed each other in a ring, of the first one that there is."""
    feeders: dict[str, dict[str, None]] = {chain.name: {} for chain in chains}
    for chain in chains:
        for name in chain.egress_lists:
            fed = owners.get(name, chain.name)
            if fed != chain.name:
                feeders[fed][chain.name] = None
    try:
        TopologicalSorter(feeders).prepare()
    except CycleError as error:
        ring: list[str] = error.args[1][:-1]
        first = next(chain for chain in chains if chain.name in ring)
        start = ring.index(first.name)
        others = [*ring[start + 1 :], *ring[:start]]
        index = next(i for i, it in enumerate(first.egress_lists) if owners.get(it) == others[0])
        way = ", ".join(map(repr, others))
        message = (
            f"list {first.egress_lists[index]!r} leads back to this chain by way of {way}: vCons "
            "go round without end unless a link stops them"
        )
        findings.warn(("chains", first.name, "egress_lists", index), message, "loop")
