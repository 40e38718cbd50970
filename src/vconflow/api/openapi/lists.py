"""The routes of lists: putting vCons on them, fetching from them, and their dead letters."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from vconflow.api import dlq, egress, lists
from vconflow.api.answers import QueueDepth
from vconflow.api.call import Handler
from vconflow.api.openapi.operation import JSON, Answer, Body, Header, Operation, Parameter, text
from vconflow.api.openapi.vcon_schema import Uuid
from vconflow.api.openapi.vcons import AGAIN, TRACE

__all__ = ["CHAIN", "COUNT", "OPERATIONS", "UUIDS_BODY"]

COUNT: Final = Annotated[int, Meta(ge=0)]
_LIMIT = Annotated[int, Meta(ge=0, le=1_000_000_000)]
_MANY = Annotated[int, Meta(ge=1, le=100_000)]
_NAME = text()

CHAIN: Final = Parameter("chain", _NAME, "The name of a chain.", "path", True)
_INGRESS = Parameter("ingress_list", _NAME, "The name of an ingress list.", required=True)
_EGRESS = Parameter("egress_list", _NAME, "The name of an egress list.", required=True)
_HOW_MANY = Parameter("limit", _LIMIT, "At most so many (and 10,000), 1 if not said.")

_UUIDS = {"type": "array", "items": {"type": "string", "format": "uuid"}}
UUIDS_BODY: Final = Body(
    {
        JSON: {
            "anyOf": [
                _UUIDS,
                {"type": "object", "properties": {"uuids": _UUIDS}, "required": ["uuids"]},
            ]
        }
    },
    "The uuids of stored vCons.",
)
_ENQUEUED = Answer(
    204,
    "They are on the list.",
    headers=(Header("X-Skipped", "How many were skipped because nobody has them.", COUNT),),
)
_POPPED = Answer(200, "The uuids, oldest first, removed once this answer is sent.", list[Uuid])

OPERATIONS: Final[Mapping[Handler, Operation]] = {
    lists.ingress: Operation(
        parameters=(_INGRESS, AGAIN, TRACE),
        body=UUIDS_BODY,
        answers=(_ENQUEUED,),
        errors=(404, 409, 413, 415, 422),
    ),
    lists.chain_ingress: Operation(
        parameters=(CHAIN, AGAIN, TRACE),
        body=UUIDS_BODY,
        answers=(_ENQUEUED,),
        errors=(404, 409, 413, 415, 422),
    ),
    lists.stats: Operation(
        parameters=(Parameter("list_name", _NAME, "The name of a list.", required=True),),
        answers=(Answer(200, "Its depth.", QueueDepth),),
        errors=(404, 422),
    ),
    egress.pop: Operation(parameters=(_EGRESS, _HOW_MANY), answers=(_POPPED,), errors=(409, 422)),
    egress.chain_pop: Operation(
        parameters=(CHAIN, _HOW_MANY), answers=(_POPPED,), errors=(404, 409, 422)
    ),
    egress.count: Operation(
        parameters=(_EGRESS,), answers=(Answer(200, "The number.", COUNT),), errors=(422,)
    ),
    dlq.uuids: Operation(
        parameters=(_INGRESS,),
        answers=(
            Answer(
                200,
                "The uuids.",
                list[str],
                (Header("X-More", "`true` if there are others.", required=False),),
            ),
        ),
        errors=(422,),
    ),
    dlq.reprocess: Operation(
        parameters=(
            _INGRESS,
            Parameter("count", _MANY, "At most so many, 1,000 if not said."),
        ),
        answers=(Answer(200, "How many were moved.", COUNT),),
        errors=(404, 422),
    ),
}
