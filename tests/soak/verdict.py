"""What became of every vCon that was accepted, and why some things happened twice."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from .cases import Case, Cases
from .documents import Copy
from .faults import FaultLog
from .options import FINAL, FIRST, STORAGES

__all__ = ["Account", "Observed", "account"]

_SLACK = 12.0
"""Seconds that the effect of a fault may come after it, or before it is seen: leases, time-outs."""
_CAUSES = {"replica": "replica died or stood still", "redis": "Redis or its connections"}


@dataclass(frozen=True)
class Observed:
    """The state at the end; `read` is what GET gave for those that were changed or deleted."""

    copies: Mapping[str, Mapping[str, Copy]]
    dead: Mapping[str, str]
    """uuid → reason."""
    waiting: Collection[str]
    read: Mapping[str, Copy | None] = field(default_factory=dict)


@dataclass
class Account:
    """Of the accepted vCons: everything adds up to `accepted`. Broken promises are in words."""

    accepted: int = 0
    completed: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    deleted: int = 0
    unsure: int = 0
    waiting: int = 0
    lost: dict[str, str] = field(default_factory=dict)
    """uuid → what is missing."""
    broken: list[str] = field(default_factory=list)
    stored: Counter[str] = field(default_factory=Counter)
    popped: Counter[str] = field(default_factory=Counter)
    egress_again: Counter[str] = field(default_factory=Counter)
    webhook_again: Counter[str] = field(default_factory=Counter)


def account(cases: Cases, observed: Observed, log: FaultLog) -> Account:
    """Count every accepted vCon once."""
    result = Account()
    for case in cases.accepted():
        result.accepted += 1
        result.stored.update(name for name in STORAGES if case.uuid in observed.copies[name])
        result.popped.update(name for name in (FIRST, FINAL) if case.pops.get(name))
        _classify(case, observed, result)
    for case in cases.all.values():
        result.webhook_again.update(_webhook_causes(case, log))
        for name in (FIRST, FINAL):
            result.egress_again.update(_egress_causes(case, name, log))
    return result


def _classify(case: Case, observed: Observed, result: Account) -> None:
    missing = list(_missing(case, observed))
    if case.deleted:
        result.deleted += 1
        result.broken += _came_back(case, observed)
    elif case.wish == "delete" and case.unsure:
        result.unsure += 1
    elif not missing:
        result.completed += 1
        result.broken += _wrong_content(case, observed)
    elif case.uuid in observed.dead:
        result.dead[observed.dead[case.uuid]] += 1
    elif case.uuid in observed.waiting:
        result.waiting += 1
    else:
        result.lost[case.uuid] = ", ".join(missing)


def _missing(case: Case, observed: Observed) -> Iterator[str]:
    for name, chains in STORAGES.items():
        copy = observed.copies[name].get(case.uuid)
        if copy is None:
            yield f"not in {name}"
        elif not copy.chains.issuperset(chains):
            yield f"in {name} without the tag of a chain"
    for name in (FIRST, FINAL):
        if not case.pops.get(name):
            yield f"never at {name}"


def _came_back(case: Case, observed: Observed) -> Iterator[str]:
    if case.sends > 1:
        return  # one of its other POSTs may have been carried out after the DELETE
    for name in STORAGES:
        if case.uuid in observed.copies[name]:
            yield f"{case.uuid} was deleted, and is in {name}"
    if observed.read.get(case.uuid):
        yield f"{case.uuid} was deleted, and can be read"


def _wrong_content(case: Case, observed: Observed) -> Iterator[str]:
    for name in STORAGES:
        if not observed.copies[name][case.uuid].intact:
            yield f"{case.uuid} is not in {name} as it was sent"
    if not case.changed or case.sends > 1:
        return  # a POST that was repeated replaces what was changed
    read = observed.read.get(case.uuid)
    if read is None or not read.changed:
        yield f"{case.uuid} was changed, and is read without the change"
    if case.changed_in_chain:
        for name in STORAGES:
            if not observed.copies[name][case.uuid].changed:
                yield f"{case.uuid} was changed during its chain, and is in {name} without"


def _webhook_causes(case: Case, log: FaultLog) -> Iterator[str]:
    entries = len(case.hooks)
    if entries > 1:
        yield from _entry_causes(case, entries - 1)
    for times in case.hooks.values():
        for before, after in pairwise(times):
            yield _cause(case, before, after, log)


def _egress_causes(case: Case, name: str, log: FaultLog) -> Iterator[str]:
    pops = case.pops.get(name, ())
    again = max(0, len(pops) - 1)
    by_entry = min(again, max(0, len(case.hooks) - 1))
    yield from _entry_causes(case, by_entry)
    for before in pops[by_entry:-1]:
        cause = _cause(case, before, before, log)
        yield f"handed out, not acknowledged: {cause}"


def _entry_causes(case: Case, count: int) -> Iterator[str]:
    posted = min(count, max(0, case.sends - 1))
    yield from ["POST repeated after a lost answer"] * posted
    rest = "dead letter replayed" if case.was_dead else "unexplained"
    yield from [rest] * (count - posted)


def _cause(case: Case, start: float, end: float, log: FaultLog) -> str:
    for target, text in _CAUSES.items():
        targets = ("redis", "link") if target == "redis" else (target,)
        if log.between(start - _SLACK, end, *targets):
            return text
    if case.wish or case.sends > 1:
        return "the links ran again on a change"
    return "unexplained"
