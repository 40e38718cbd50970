"""The pass over a typed document: indices in range, and what its version demands."""

from collections.abc import Callable, Set
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, Final

from msgspec import Raw

from vconflow.errors import Problem
from vconflow.model.reading import Loc, read_items, read_members
from vconflow.model.references import TRANSFER, UNKNOWN, targets
from vconflow.model.rules import DIALOG_TYPES, Rules, rules_for
from vconflow.model.schema import Analysis, Attachment, Dialog, Document

__all__ = ["check_references"]

_EMPTY: Final = Dialog()
_NONE: Final[frozenset[Any]] = frozenset()
# attribute → (name in the document, array it points into)
_TRANSFERS = tuple(
    (name if name.isidentifier() else "legacy_" + name.replace("-", "_"), name, into)
    for name, into in TRANSFER.items()
)
_NOTHING = (b"", b"null", b'""')


def check_references(read: Document, document: bytes, problems: list[Problem]) -> None:
    """Append what is wrong with dialogs, analysis and attachments.

    A member that `problems` already names as of a wrong type counts as missing and is not named
    again.
    """
    _Pass(read, document, problems).run()


class _Pass:
    def __init__(self, read: Document, document: bytes, problems: list[Problem]) -> None:
        self._read = read
        self._document = document
        self._problems = problems
        self._rules: Rules = rules_for(read.vcon)
        self._sizes = {
            "parties": len(read.parties or ()),
            "dialog": len(read.dialog or ()),
            "attachments": len(read.attachments or ()),
        }
        self._unknown: Set[str | int] = _NONE
        self._wrong: Set[Loc] = _NONE
        if problems:
            # An array of a wrong type has no size: indices into it are not judged.
            self._unknown = {problem.loc[0] for problem in problems if len(problem.loc) == 1}
            self._wrong = {problem.loc for problem in problems}

    def run(self) -> None:
        read = self._read
        is_lenient, parties = not self._rules.forbidden, self._sizes["parties"]
        for number, dialog in enumerate(read.dialog or ()):
            if not (is_lenient and _is_line(dialog, parties)):
                self._dialog(dialog, number)
        for number, analysis in enumerate(read.analysis or ()):
            self._analysis(analysis, number)
        for number, attachment in enumerate(read.attachments or ()):
            self._attachment(attachment, number)

    def _problem(self, loc: Loc, message: str, kind: str) -> None:
        if not any(loc[:length] in self._wrong for length in range(1, len(loc) + 1)):
            self._problems.append(Problem(loc, message, kind))

    def _dialog(self, dialog: Dialog, number: int) -> None:
        kind = dialog.type
        self._dialog_parties(dialog, number)
        if kind not in DIALOG_TYPES:
            self._dialog_type(dialog, number)
        elif kind == "transfer":
            self._transfer(dialog, number)
        if dialog.recordings is not None:
            self._indices(dialog.recordings, "dialog", ("dialog", number, "recordings"))
        if dialog.recording_set is not None:
            self._indices(dialog.recording_set, "dialog", ("dialog", number, "recording_set"))
        if dialog.party_history:
            self._party_history(dialog, number)
        if self._rules.forbidden and kind in DIALOG_TYPES:
            self._strict(dialog, number)

    def _dialog_parties(self, dialog: Dialog, number: int) -> None:
        parties = self._sizes["parties"]
        # Nearly every dialog has a list of plain indices: it is spared the general walk.
        named = dialog.parties
        if named is not None:
            for index in named if type(named) is list else (named,):
                if type(index) is not int or not 0 <= index < parties:
                    self._indices(named, "parties", ("dialog", number, "parties"))
                    break
        originator = dialog.originator
        if originator is not None and not 0 <= originator < parties:
            self._indices(originator, "parties", ("dialog", number, "originator"))

    def _dialog_type(self, dialog: Dialog, number: int) -> None:
        if dialog.type is not None:
            self._problem(("dialog", number, "type"), "no known dialog type", "unknown_type")
        elif not self._is_placeholder(dialog, number):
            self._problem(("dialog", number, "type"), "a dialog needs a type", "missing")

    def _is_placeholder(self, dialog: Dialog, number: int) -> bool:
        """Tell whether it is the `{}` by which core-02 and -03 say: this dialog is unknown."""
        if dialog != _EMPTY or number not in self._named_by_transfers:
            return False
        return not read_members(self._written_dialogs[number])

    @cached_property
    def _named_by_transfers(self) -> set[int]:
        return {
            index
            for dialog in self._read.dialog or ()
            if dialog.type == "transfer"
            for attribute, _, into in _TRANSFERS
            if into == "dialog"
            for index in targets(getattr(dialog, attribute))
        }

    @cached_property
    def _written_dialogs(self) -> list[Raw]:
        return read_items(read_members(self._document)["dialog"])

    def _transfer(self, dialog: Dialog, number: int) -> None:
        for attribute, name, into in _TRANSFERS:
            value = getattr(dialog, attribute)
            if value is not None:
                self._indices(value, into, ("dialog", number, name), least=UNKNOWN)

    def _party_history(self, dialog: Dialog, number: int) -> None:
        for line, event in enumerate(dialog.party_history or ()):
            loc: Loc = ("dialog", number, "party_history", line)
            if event.party is not None:
                self._indices(event.party, "parties", (*loc, "party"))
            for name in self._rules.party_event:
                if getattr(event, name) is None:
                    self._problem((*loc, name), f"an event needs {name}", "missing")

    def _strict(self, dialog: Dialog, number: int) -> None:
        kind = dialog.type or ""
        forbidden = self._rules.forbidden[kind]
        # All at once, since mostly none is there.
        if _reader(forbidden)(dialog) != _reader(forbidden)(_EMPTY):
            for name in forbidden:
                if _present(getattr(dialog, name)):
                    message = f"a {kind} dialog has no {name}"
                    self._problem(("dialog", number, name), message, "forbidden")
        for name in self._rules.required.get(kind, ()):
            if getattr(dialog, name) is None:
                message = f"a {kind} dialog needs {name}"
                self._problem(("dialog", number, name), message, "missing")
        if (
            self._rules.inline_mediatype
            and kind in ("recording", "text")
            and _present(dialog.body)
            and not dialog.mediatype
            and not dialog.mimetype
        ):
            message = "an inline body needs its mediatype"
            self._problem(("dialog", number, "mediatype"), message, "missing")

    def _analysis(self, analysis: Analysis, number: int) -> None:
        if analysis.dialog is not None:
            self._indices(analysis.dialog, "dialog", ("analysis", number, "dialog"))
        if analysis.attachment is not None:
            self._indices(analysis.attachment, "attachments", ("analysis", number, "attachment"))
        for name in self._rules.analysis:
            if not getattr(analysis, name):
                self._problem(("analysis", number, name), f"an analysis needs {name}", "missing")

    def _attachment(self, attachment: Attachment, number: int) -> None:
        if attachment.party is not None:
            self._indices(attachment.party, "parties", ("attachments", number, "party"))
        if attachment.dialog is not None:
            self._indices(attachment.dialog, "dialog", ("attachments", number, "dialog"))

    def _indices(self, value: Any, into: str, loc: Loc, least: int = 0) -> None:
        if isinstance(value, list):
            for place, item in enumerate(value):
                self._indices(item, into, (*loc, place), least)
            return
        size = self._sizes[into]
        if value is not None and not least <= value < size and into not in self._unknown:
            self._problem(loc, f"no such index: {into} has {size}", "out_of_range")


def _is_line(dialog: Dialog, parties: int) -> bool:
    """Tell whether it is what most dialogs are: a text of known parties, and nothing else."""
    named, originator = dialog.parties, dialog.originator
    return (
        dialog.type == "text"
        and type(named) is list
        and len(named) == 1
        and type(named[0]) is int
        and 0 <= named[0] < parties
        and (originator is None or 0 <= originator < parties)
        and dialog.recordings is None
        and dialog.recording_set is None
        and not dialog.party_history
    )


@cache
def _reader(names: tuple[str, ...]) -> Callable[[Dialog], tuple[Any, ...]]:
    return attrgetter(*names)


def _present(value: Any) -> bool:
    if isinstance(value, Raw):
        return bytes(value) not in _NOTHING
    return value is not None and value != ""
