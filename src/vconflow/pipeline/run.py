"""One entry on its way through its chain: what is known of it at this moment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from vconflow.model.entry import Entry, StoredVcon
from vconflow.model.validation import Facts, validate
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.removal import stored_vcon
from vconflow.ports.documents import Document
from vconflow.ports.history import HistoryRecord, StepTime
from vconflow.ports.ledger import UNTOUCHED, Bury, Commit, Defer, Finish, Progress
from vconflow.telemetry.spans import Span

__all__ = ["Place", "Run"]

_MOST_STEPS = 64
"""Links that run again and again, on what others write, must not fill the history."""


class Place(Protocol):
    """The room that an entry takes among those of its chain."""

    def leave(self) -> None:
        """Let another entry have it: nothing is left to do but the commit that ends this one."""
        ...

    def come_back(self) -> None:
        """Take it again, there is more to do; even beyond the limit."""
        ...


@dataclass(slots=True)
class Run:
    """The state between two commits.

    `base` is the document as Redis has it, at revision `rev`; `safe` is the document after the
    last link that succeeded, `saved_link` how many links `base` has behind it. `storages_left` are
    the storages that do not have `stored_rev` yet, None before the first write; `has_stored` says
    that some may have got something, be it of a state that was given up. `links` and `storages` are
    those that ran, for the history; `error_type` is that of a link which failed.

    `before` is what the last link was given, empty if that was in another attempt, and `came_from`
    its uuid, if the link replaced the vCon; `told` are the tracers that know where it is now.

    `span` is that of this attempt, None while no spans are made.

    `resumed` says that the entry may have been begun before: storages may be ahead of Redis then.
    `anew` has the next commit make a revision, also of bytes that Redis has.

    `ahead` is the revision by which the storages know `safe` before Redis has it, 0 if they do not.
    `can_be_ahead` says that it may come to that: nobody has worked on the entry before, nobody else
    works on the vCon, and the links since `base` may run again without harm.
    """

    entry: Entry
    chain: Chain
    progress: Progress
    place: Place | None = None
    uuid: str = ""
    base: bytes = b""
    rev: int = 0
    resumed: bool = False
    ahead: int = 0
    can_be_ahead: bool = False
    born: int = 0
    index: str = ""
    safe: bytes = b""
    saved_link: int = 0
    saved_routes: tuple[str, ...] = ()
    saved_expire: int | None = None
    next_link: int = 0
    routes: tuple[str, ...] = ()
    storages_left: tuple[str, ...] | None = None
    stored_rev: int = 0
    has_stored: bool = False
    expire_seconds: int | None = None
    halted: bool = False
    anew: bool = False
    before: bytes = b""
    came_from: str = ""
    told: tuple[str, ...] = ()
    links: list[StepTime] = field(default_factory=list)
    storages: list[StepTime] = field(default_factory=list)
    error_type: str = ""
    span: Span | None = None
    vcon: Vcon = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.uuid = self.progress.uuid or self.entry.uuid
        self.next_link = (
            len(self.chain.steps)
            if self.progress.storages is not None
            else self.chain.position(self.progress.next_link)
        )
        self.routes = self.progress.routes
        self.expire_seconds = self.progress.expire_seconds
        self.halted = self.progress.halted
        self.came_from = self.progress.came_from
        if self.progress.told and self._goes_on:
            self.told = self.progress.told
        self.storages_left = self._planned_left()
        self.stored_rev = self.progress.rev
        self.has_stored = self.storages_left is not None
        self._save()

    @property
    def _goes_on(self) -> bool:
        """Whether the chain still has the link that comes next, or all of them are done."""
        name, steps = self.progress.next_link, self.chain.steps
        return not name or (self.next_link < len(steps) and steps[self.next_link].name == name)

    def _planned_left(self) -> tuple[str, ...] | None:
        """What is left to write by the chain as it is configured now."""
        progress = self.progress
        if progress.storages is None:
            return None
        return tuple(
            name
            for name in self.chain.storages
            if name in progress.storages or name not in progress.planned
        )

    def _save(self) -> None:
        """Note what a restart goes back to: the state that belongs to `base`."""
        self.saved_link = self.next_link
        self.saved_routes, self.saved_expire = self.routes, self.expire_seconds

    def load(self, found: Document, document: bytes) -> None:
        """Go on from a document as Redis has it."""
        self.base = self.safe = document
        self.rev, self.born, self.index = found.rev, found.born, found.index
        self._fall_in()
        self.vcon = Vcon(document)
        # What the storages already have is out of date when the document has moved on since.
        if self.storages_left is not None and self.stored_rev != found.rev:
            self.storages_left = self.chain.storages

    def rebase(self, found: Document, theirs: bytes, merged: bytes) -> None:
        """Go on from another revision with our changes merged into it."""
        self.base, self.safe = theirs, merged
        self.rev, self.born, self.index = found.rev, found.born, found.index
        self._fall_in()
        self.vcon = Vcon(merged)
        if self.storages_left is not None:
            self.storages_left = self.chain.storages

    def written(self, rev: int) -> None:
        """The safe document is now revision `rev` in Redis."""
        if self.safe != self.base:
            self.base = self.safe
        self.rev = rev or self.rev
        self._fall_in()
        self._save()

    def brought(self, found: Document, document: bytes) -> None:
        """Begin with the document that was fetched together with the entry."""
        self.load(found, document)
        # With two chains at work on it, the one that is later must not undo what the other stored.
        is_alone = found.open <= 1
        self.can_be_ahead = found.rev > 0 and is_alone and self.progress == UNTOUCHED

    def _fall_in(self) -> None:
        """Whatever the storages have, Redis decides from here on."""
        self.ahead, self.can_be_ahead, self.anew = 0, False, False

    def get_ahead(self) -> bool:
        """Let the storages have what Redis has not seen; whether that may be."""
        if self.can_be_ahead:
            self.ahead = self.rev + 1
        return self.can_be_ahead

    def keep(self, *, repeatable: bool) -> None:
        """The link that just ran succeeded: what it changed is safe from the next one's failure."""
        self.hold()
        self.next_link += 1
        self.came_from, self.told = "", ()
        self.can_be_ahead = self.can_be_ahead and repeatable

    def hold(self) -> None:
        """What the links have changed so far is safe from a failure.

        Raises ValueError, TypeError and RecursionError for what is no JSON, InvalidVcon for parties
        that are none.
        """
        document = self.vcon.to_bytes()
        if self.vcon.touched("parties"):
            validate(document)
        self.safe = document

    def undo(self) -> None:
        """Forget what a failing link changed."""
        if self.safe:
            self.vcon = Vcon(self.safe)

    def drop_changes(self) -> None:
        """Give up what Redis has not seen."""
        self.safe = self.base
        self._fall_in()

    def restart(self) -> None:
        """Begin again with the first link whose work Redis has not seen."""
        self.next_link = self.saved_link
        self.routes, self.expire_seconds = self.saved_routes, self.saved_expire
        self.halted = False
        self.before, self.told = b"", ()
        # Whatever storages have got is not what comes of it now.
        self.storages_left, self.stored_rev = None, 0

    def leave(self) -> None:
        """Nothing is left to do but the commit that ends it: another entry may begin."""
        if self.place is not None:
            self.place.leave()

    def come_back(self) -> None:
        """That commit was refused: there is work to do again."""
        if self.place is not None:
            self.place.come_back()

    def replace(self, uuid: str) -> None:
        """Go on with another vCon, of which nothing is known before it is loaded."""
        self.came_from = self.uuid
        self.uuid, self.rev, self.born, self.index = uuid, 0, 0, ""
        self.base = self.safe = b""
        self._fall_in()
        self._save()

    def route(self, lists: Sequence[str]) -> None:
        """Remember further lists that receive the vCon at the end, each once."""
        self.routes = tuple(dict.fromkeys((*self.routes, *lists)))

    def stored_at(self, left: tuple[str, ...]) -> None:
        """All storages have the current revision but those `left`."""
        self.storages_left = left
        self.stored_rev = self.ahead or self.rev
        self.has_stored = True

    @property
    def dirty(self) -> bool:
        """Whether Redis has not seen the safe document yet, or is to have it as a new revision."""
        return self.anew or (self.safe is not self.base and self.safe != self.base)

    def outdo(self) -> None:
        """Before the first write to storages: they may have got ahead of Redis in another life.

        Then what changes nothing needs a revision of its own, or they would not take it.
        """
        self.anew = self.resumed and self.storages_left is None and not self.dirty

    def stored(self) -> StoredVcon:
        """The revision for the storages."""
        stored = stored_vcon(self.uuid, self.ahead or self.rev, self.safe, self.vcon)
        if self.span is not None:
            stored = msgspec.structs.replace(stored, trace=self.span.traceparent)
        return stored

    def ran_link(self, name: str, seconds: float, outcome: str, error_type: str = "") -> None:
        """Note for the history how a link did."""
        self.error_type = error_type
        if len(self.links) < _MOST_STEPS:
            self.links.append(StepTime.took(name, seconds, outcome))
        if self.span is not None:
            told = {"vconflow.link": name, "vconflow.outcome": outcome}
            self.span.child(f"link {name}", seconds, told, error_type)

    def ran_storage(self, name: str, seconds: float, error: Exception | None = None) -> None:
        """Note for the history how a storage did."""
        outcome = "failed" if error else ""
        if self.span is not None:
            told = {"vconflow.storage": name, "vconflow.outcome": outcome or "ok"}
            error_type = type(error).__name__ if error else ""
            self.span.child(f"storage {name}", seconds, told, error_type)
        if len(self.storages) < _MOST_STEPS:
            self.storages.append(StepTime.took(name, seconds, outcome))

    def commit(
        self,
        then: Finish | Defer | Bury | None,
        *,
        check: bool = False,
        record: HistoryRecord | None = None,
    ) -> Commit:
        """The commit that brings Redis up to date with this run; `check` insists on `rev`."""
        dirty = self.dirty
        return Commit(
            self.entry,
            self.uuid,
            rev=self.rev if dirty or check else 0,
            new_rev=self.ahead if dirty else 0,
            born=self.born,
            document=self.safe if dirty else None,
            facts=self._facts() if dirty else None,
            previous_index=self.index,
            then=then,
            record=record,
        )

    def _facts(self) -> Facts | None:
        # The index knows parties only, and links hardly ever touch those. At a commit `vcon` is
        # what is safe.
        if self.vcon.is_of(self.base) and not self.vcon.touched("parties"):
            return None
        before, after = Vcon(self.base), Vcon(self.safe)
        return None if before.raw("parties") == after.raw("parties") else validate(self.safe)

    def so_far(self, **changes: object) -> Progress:
        """The progress when all went well up to here, with changes."""
        return self.remember(attempts=0, stage="", due=0, **changes)

    def remember(self, **changes: object) -> Progress:
        """The progress to resume from, with changes."""
        steps, storages = self.chain.steps, self.storages_left
        through = self.next_link >= len(steps)
        values: dict[str, object] = {
            "next_link": "" if through else steps[self.next_link].name,
            "storages": self.chain.storages if through and storages is None else storages,
            "planned": self.chain.storages if through else (),
            "routes": self.routes,
            "halted": self.halted,
            "rev": self.stored_rev,
            "uuid": self.uuid if self.uuid != self.entry.uuid else "",
            "came_from": self.came_from,
            "told": self.told,
            "expire_seconds": self.expire_seconds,
            **changes,
        }
        if self.span is not None and not self.entry.trace:
            values["trace"] = self.progress.trace or self.span.traceparent
        return msgspec.structs.replace(self.progress, **values)
