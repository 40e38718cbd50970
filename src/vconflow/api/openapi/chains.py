"""The routes of chains, followers, leases of egress lists, and events."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from vconflow.api import chains, egress_leases, events, followers, history
from vconflow.api.call import Handler
from vconflow.api.openapi.lists import CHAIN
from vconflow.api.openapi.operation import JSON, Answer, Body, Operation, Parameter, text
from vconflow.api.openapi.vcons import VCON_UUID
from vconflow.ports.chain_control import ChainStatus
from vconflow.ports.egress import LONGEST_LEASE
from vconflow.ports.history import Kind

__all__ = ["OPERATIONS"]

_FOLLOWER = Parameter("follower", text(), "The name of a follower.", "path", True)
_LIST = Parameter("list", text(), "The name of an egress list.", "path", True)
_LIMIT = Parameter(
    "limit", Annotated[int, Meta(ge=1, le=egress_leases.MOST)], "At most so many, 1 if not said."
)
_SECONDS = Parameter(
    "seconds",
    Annotated[int, Meta(ge=1, le=LONGEST_LEASE)],
    "How long the lease lasts; VCONFLOW_EGRESS_LEASE_SECONDS if not said.",
)

_IDS: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"type": "string", "pattern": r"^[0-9]{1,18}-[0-9]{1,18}\.[0-9]{1,9}$"},
}
_IDS_BODY = Body(
    {JSON: {"anyOf": [_IDS, {"type": "object", "properties": {"ids": _IDS}, "required": ["ids"]}]}},
    "The ids that leasing gave, at most 10,000 different ones.",
)
_WITH_BODY = (413, 415, 422)

_NAMES = Annotated[list[str], Meta(max_length=100)]
_KINDS = Annotated[list[Kind], Meta(max_length=100)]

_FOLLOWER = Parameter("follower", text(), "The name of a follower.", "path", True)
_PARKED = Parameter(
    "limit", Annotated[int, Meta(ge=1, le=followers.MOST)], "At most so many, 100 if not said."
)

OPERATIONS: Final[Mapping[Handler, Operation]] = {
    chains.read_all: Operation(answers=(Answer(200, "The chains.", chains.ChainPage),)),
    chains.read: Operation(
        parameters=(CHAIN,), answers=(Answer(200, "The chain.", ChainStatus),), errors=(404,)
    ),
    chains.pause: Operation(
        parameters=(CHAIN,), answers=(Answer(204, "It is paused."),), errors=(404,)
    ),
    chains.resume: Operation(
        parameters=(CHAIN,), answers=(Answer(204, "It is running."),), errors=(404,)
    ),
    followers.read_all: Operation(answers=(Answer(200, "The followers.", followers.FollowerPage),)),
    followers.parked: Operation(
        parameters=(
            _FOLLOWER,
            Parameter(
                "limit",
                Annotated[int, Meta(ge=1, le=followers.MOST)],
                "At most so many, 100 if not said.",
            ),
        ),
        answers=(Answer(200, "What is parked.", followers.ParkedPage),),
        errors=(404, 422),
    ),
    followers.retry: Operation(
        parameters=(_FOLLOWER,),
        answers=(Answer(200, "How many are fetched again.", followers.Retried),),
        errors=(404,),
    ),
    followers.drop: Operation(
        parameters=(_FOLLOWER,),
        answers=(Answer(200, "How many were forgotten.", followers.Dropped),),
        errors=(404,),
    ),
    egress_leases.lease: Operation(
        parameters=(_LIST, _LIMIT, _SECONDS),
        answers=(Answer(200, "What is on lease now.", egress_leases.Leased),),
        errors=(409, 422),
    ),
    egress_leases.ack: Operation(
        parameters=(_LIST,),
        body=_IDS_BODY,
        answers=(Answer(200, "What was removed.", egress_leases.Acked),),
        errors=_WITH_BODY,
    ),
    egress_leases.give_back: Operation(
        parameters=(_LIST,),
        body=_IDS_BODY,
        answers=(Answer(200, "What others can have.", egress_leases.Returned),),
        errors=_WITH_BODY,
    ),
    egress_leases.extend: Operation(
        parameters=(_LIST, _SECONDS),
        body=_IDS_BODY,
        answers=(Answer(200, "What is on lease for longer.", egress_leases.Extended),),
        errors=_WITH_BODY,
    ),
    events.stream: Operation(
        parameters=(
            Parameter("type", _KINDS, "Only events of these types."),
            Parameter("chain", _NAMES, "Only events of these chains."),
            Parameter("list", _NAMES, "Only events of these lists."),
        ),
        answers=(Answer(200, "The events, without end.", str, media_type="text/event-stream"),),
        errors=(422,),
    ),
    history.read: Operation(
        parameters=(VCON_UUID,),
        answers=(Answer(200, "The events, oldest first.", history.VconHistory),),
        errors=(404, 422),
    ),
    followers.read_all: Operation(answers=(Answer(200, "The followers.", followers.FollowerPage),)),
    followers.parked: Operation(
        parameters=(_FOLLOWER, _PARKED),
        answers=(Answer(200, "The ids and why.", followers.ParkedPage),),
        errors=(404, 422),
    ),
    followers.retry: Operation(
        parameters=(_FOLLOWER,),
        answers=(Answer(200, "How many.", followers.Retried),),
        errors=(404,),
    ),
    followers.drop: Operation(
        parameters=(_FOLLOWER,),
        answers=(Answer(200, "How many.", followers.Dropped),),
        errors=(404,),
    ),
}
