"""POST /vcon/external-ingress: the way in for partners."""

from starlette.responses import Response
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import read_body
from vconflow.api.idempotency import idempotency_key
from vconflow.telemetry import events

__all__ = ["create"]


async def create(call: Call) -> ASGIApp:
    """Store a vCon of a partner and put it on the list that its key is for.

    Raises Conflict for a vCon that somebody else stored.
    """
    services = call.services
    list_name = call.query.required("ingress_list")
    document = await read_body(
        call.headers, call.receive, services.settings.vconflow_max_body_bytes, call.hold_body
    )
    call.note(list=list_name)
    accepted = await services.ingest.accept(
        document,
        (list_name,),
        source="partner",
        owner=call.owner,
        trace=call.trace,
        exclusive=True,
        idempotency_key=idempotency_key(call),
    )
    events.partner_accepted(list_name, call.owner.removeprefix("partner:"))
    call.note(uuid=accepted.uuid)
    return Response(None, 204)
