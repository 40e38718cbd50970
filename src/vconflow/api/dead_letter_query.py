"""What clients may ask of dead letters: in the query, or in a JSON object of the same members."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from vconflow.api.codec import decode_json
from vconflow.api.dead_letter_form import position_of
from vconflow.api.refusals import InvalidRequest
from vconflow.pipeline.dead_letters import DeadLetterFilter, Position

__all__ = ["Browse", "Purge", "Replay", "Selection", "parse"]

# A blank condition would match everything: think of an unset variable in somebody's script.
_Text = Annotated[str, Meta(min_length=1, max_length=1000)]
_Steps = Annotated[int, Meta(ge=0, le=1000)]
_Ids = Annotated[list[str], Meta(max_length=1000)]

# How msgspec says where a value stands.
_AT = re.compile(r"(?P<message>.*) - at `\$\.(?P<member>\w+).*`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<member>.*)`", re.DOTALL)


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which letters, see `DeadLetterFilter`, and from where on; empty for all and from the first.

    A member that is unknown is refused: misspelled conditions must not drop everything.
    """

    list: _Text = ""
    chain: _Text = ""
    stage: _Text = ""
    error: _Text = ""
    cursor: _Text = ""

    @property
    def chosen(self) -> DeadLetterFilter:
        """What the letters have to match."""
        return DeadLetterFilter(self.chain, self.stage, self.error)

    @property
    def is_everything(self) -> bool:
        """Whether there is no condition at all."""
        return not self.list and self.chosen == DeadLetterFilter()

    @property
    def position(self) -> Position | None:
        """Where the cursor goes on. Raises ValueError."""
        return position_of(self.cursor) if self.cursor else None

    def check(self) -> None:
        """Raise InvalidRequest for members that contradict each other."""


class Browse(Selection, frozen=True):
    """A page."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Replay(Selection, frozen=True):
    """Those of `ids` or a step of a pass; `from_` says where they begin."""

    limit: _Steps = 1000
    ids: _Ids | UnsetType = UNSET
    from_: Literal["failed", "start"] = msgspec.field(default="failed", name="from")

    def check(self) -> None:
        """Either ids or conditions."""
        if self.ids is not UNSET and not (self.is_everything and not self.cursor):
            message = "either ids or conditions"
            raise InvalidRequest.at(("body", "ids"), message, "contradiction")


class Purge(Selection, frozen=True):
    """A step of a pass."""

    limit: _Steps = 1000
    all: bool = False

    def check(self) -> None:
        """All letters of all lists are dropped only by somebody who says so."""
        if self.is_everything and not self.all:
            message = "without list, chain, stage or error this drops everything: say all=true"
            raise InvalidRequest.at(("query", "all"), message, "missing")


SelectionT = TypeVar("SelectionT", bound=Selection)


def parse(kind: type[SelectionT], query: Mapping[str, Any], body: bytes = b"") -> SelectionT:
    """Read what was asked for; of a member in both, the body counts. Raises InvalidRequest."""
    sent = decode_json(body, dict[str, Any]) if body else {}
    try:
        wanted = msgspec.convert({**query, **sent}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), sent) from None
    try:
        _ = wanted.position
    except ValueError:
        raise _refusal("is no cursor of ours - at `$.cursor`", sent) from None
    wanted.check()
    return wanted


def _refusal(text: str, sent: Mapping[str, Any]) -> InvalidRequest:
    found = _AT.fullmatch(text) or _UNKNOWN.fullmatch(text)
    if found is None:
        return InvalidRequest.at(("body" if sent else "query",), text, "type_error")
    member = found["member"]
    message = found.groupdict().get("message") or "Unknown parameter"
    return InvalidRequest.at(
        ("body" if member in sent else "query", member), message, "value_error"
    )
