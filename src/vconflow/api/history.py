"""/vcon/{uuid}/history: what happened to a vCon."""

from collections.abc import Sequence

import msgspec
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import json_response
from vconflow.api.parameters import path_uuid
from vconflow.errors import NotFound
from vconflow.ports.history import HistoryRecord

__all__ = ["VconHistory", "read"]


class VconHistory(msgspec.Struct, frozen=True):
    """What is remembered of a vCon, oldest first: its first event and the newest.

    It is kept for a while after the last of them, and may be empty for a vCon that is old.
    """

    uuid: str
    events: Sequence[HistoryRecord]


async def read(call: Call) -> ASGIApp:
    """Say what happened to a vCon: acceptance, runs of chains with their times, egress, failures.

    404 when nothing is remembered and nobody has the vCon.
    """
    uuid = path_uuid(call.path["vcon_uuid"])
    records = await call.services.history.of(uuid)
    if not records and await call.services.lookup.get(uuid) is None:
        raise NotFound("vCon not found")
    return json_response(VconHistory(uuid, records))
