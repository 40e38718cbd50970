"""The routes of dead letters."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from vconflow.api import dead_letters
from vconflow.api.answers import (
    DeadLetterPage,
    DeadLettersMoved,
    DeadLettersPurged,
    NewestDeadLetters,
)
from vconflow.api.call import Handler
from vconflow.api.dead_letter_form import DeadLetterDetail
from vconflow.api.dead_letter_query import Replay
from vconflow.api.openapi.operation import JSON, Answer, Body, Operation, Parameter, text

__all__ = ["OPERATIONS"]

_TEXT = text(most=1_000)
_ID = Parameter("dead_letter", text(), "The id of a dead letter.", "path", True)
_CHOICE = (
    Parameter("list", _TEXT, "Only those of this list."),
    Parameter("chain", _TEXT, "Only those of this chain."),
    Parameter("stage", _TEXT, "Only those that failed at this stage, e.g. `link:tag`."),
    Parameter("error", _TEXT, "Only those whose error type or message holds this text."),
)
_CURSOR = Parameter("cursor", _TEXT, "Where to go on: the `cursor` of the answer before.")
_STEPS = Parameter("limit", Annotated[int, Meta(ge=0, le=1_000)], "At most so many; 1,000.")

_CONDITIONS: Final = ("list", "chain", "stage", "error", "cursor")
_LETTER: Final = {"type": "string", "pattern": "^[^:]+:[0-9]{1,18}-[0-9]{1,18}$"}


def _replays() -> list[dict[str, Any]]:
    """Of the members of `Replay`, ids and conditions exclude each other."""
    schema = msgspec.json.schema_components([Replay])[1]["Replay"]
    members = dict(schema.pop("properties"))
    members["ids"] = {**members["ids"], "items": _LETTER}
    by_ids = {name: kind for name, kind in members.items() if name not in _CONDITIONS}
    matching = {name: kind for name, kind in members.items() if name != "ids"}
    return [
        {**schema, "title": "by ids", "properties": by_ids, "required": ["ids"]},
        {**schema, "title": "by conditions", "properties": matching},
    ]


OPERATIONS: Final[Mapping[Handler, Operation]] = {
    dead_letters.page: Operation(
        parameters=(
            *_CHOICE,
            _CURSOR,
            Parameter("limit", Annotated[int, Meta(ge=1, le=1_000)], "At most so many; 100."),
        ),
        answers=(Answer(200, "A page.", DeadLetterPage),),
        errors=(404, 422),
    ),
    dead_letters.newest: Operation(
        parameters=(
            Parameter("limit", Annotated[int, Meta(ge=1, le=100)], "At most so many; 20."),
        ),
        answers=(Answer(200, "The newest.", NewestDeadLetters),),
        errors=(422,),
    ),
    dead_letters.read: Operation(
        parameters=(_ID,), answers=(Answer(200, "The letter.", DeadLetterDetail),), errors=(404,)
    ),
    dead_letters.replay: Operation(
        body=Body(
            {JSON: {"anyOf": _replays()}},
            "Either `ids` or conditions; the members may stand in the query as well.",
            required=False,
        ),
        answers=(Answer(200, "What was moved.", DeadLettersMoved),),
        errors=(404, 413, 415, 422),
    ),
    dead_letters.drop: Operation(
        parameters=(_ID,), answers=(Answer(204, "It is gone."),), errors=(404,)
    ),
    dead_letters.purge: Operation(
        parameters=(
            *_CHOICE,
            _CURSOR,
            _STEPS,
            Parameter("all", bool, "Needed when no condition is given."),
        ),
        answers=(Answer(200, "What was dropped.", DeadLettersPurged),),
        errors=(404, 422),
    ),
}
