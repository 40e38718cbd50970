"""/vcon and /vcons: storing, reading, replacing, deleting and finding vCons."""

from starlette.responses import Response
from starlette.types import ASGIApp

from vconflow.api import preconditions
from vconflow.api.answers import Deletion, StorageDeletion
from vconflow.api.call import Call
from vconflow.api.codec import (
    echo_response,
    etag_of,
    json_response,
    read_body,
    vcon_response,
)
from vconflow.api.idempotency import idempotency_key
from vconflow.api.lists import ingress_lists
from vconflow.api.many import many_response
from vconflow.api.parameters import path_uuid, search_terms, uuids_of
from vconflow.api.refusals import BadRequest, InvalidRequest
from vconflow.errors import NotFound, RevisionMismatch
from vconflow.ports.documents import Document

__all__ = ["create", "delete", "page", "read", "read_many", "replace", "search"]

_PAGE, _MOST = 50, 1_000
_LAST_PAGE = 1_000_000_000


async def create(call: Call) -> ASGIApp:
    """Store a vCon and put it on lists; answer with the very bytes received."""
    services = call.services
    lists, key = ingress_lists(call), idempotency_key(call)
    document = await read_body(
        call.headers, call.receive, services.settings.vconflow_max_body_bytes, call.hold_body
    )
    call.note(lists=lists)
    accepted = await services.ingest.accept(
        document, lists, owner=call.owner, trace=call.trace, idempotency_key=key
    )
    call.note(uuid=accepted.uuid)
    return echo_response(document, 201)


async def read(call: Call) -> ASGIApp:
    """Return a vCon byte for byte."""
    document = await call.services.lookup.get(path_uuid(call.path["vcon_uuid"]))
    if document is None:
        raise NotFound("vCon not found")
    call.hold_answer(len(document))
    wanted = call.header(b"if-none-match")
    if wanted and preconditions.matches_weakly(wanted, etag := await etag_of(document)):
        return Response(None, 304, {"ETag": etag})
    return await vcon_response(document)


async def replace(call: Call) -> ASGIApp:
    """Store another revision of a vCon that exists."""
    services = call.services
    uuid = path_uuid(call.path["vcon_uuid"])
    document = await read_body(
        call.headers, call.receive, services.settings.vconflow_max_body_bytes, call.hold_body
    )
    current = await services.lookup.revision(uuid)
    if current.document is None or current.deleted:
        raise NotFound("vCon not found")
    expect_rev = await _expected_rev(call, current)
    await services.ingest.accept(
        document, (), owner=call.owner, trace=call.trace, expect_uuid=uuid, expect_rev=expect_rev
    )
    return await vcon_response(document)


async def _expected_rev(call: Call, current: Document) -> int:
    """The revision that the request insists on, 0 for any. Raises RevisionMismatch."""
    wanted, unwanted = call.header(b"if-match"), call.header(b"if-none-match")
    if not (wanted or unwanted):
        return 0
    etag = await etag_of(current.document or b"")
    if wanted and not preconditions.matches_strongly(wanted, etag):
        raise RevisionMismatch("The vCon has changed: If-Match names another revision")
    if unwanted and preconditions.matches_weakly(unwanted, etag):
        raise RevisionMismatch("The vCon is there: If-None-Match names its revision")
    # The asterisk asks for a vCon, whatever it says.
    return current.rev if unwanted or wanted.strip() != "*" else 0


async def delete(call: Call) -> ASGIApp:
    """Delete a vCon everywhere; 207 says for each storage whether it could."""
    uuid = path_uuid(call.path["vcon_uuid"])
    deletion = await call.services.lookup.delete(uuid)
    if deletion.failed:
        storages = {name: StorageDeletion(True) for name in deletion.done} | {
            name: StorageDeletion(False, why) for name, why in deletion.failed.items()
        }
        return json_response(Deletion(uuid, deletion.found, storages), 207)
    # Also when it was not there: the client whose first answer was lost asks again.
    return Response(None, 204)


async def page(call: Call) -> ASGIApp:
    """Return a page of uuids, newest first."""
    query = call.query
    number = query.integer("page", 1, 1, _LAST_PAGE)
    size = query.integer("size", _PAGE, 1, _MOST)
    found = await call.services.documents.page(
        offset=(number - 1) * size,
        limit=size,
        since=query.moment("since"),
        until=query.moment("until"),
    )
    return json_response(found)


async def read_many(call: Call) -> ASGIApp:
    """Return several vCons in the order asked for, null for those that do not exist."""
    uuids = uuids_of(call.query.several("vcon_uuids"), "query", "vcon_uuids")
    if len(uuids) > _MOST:
        message = f"List should have at most {_MOST} items"
        raise InvalidRequest.at(("query", "vcon_uuids"), message, "too_long")
    call.note(uuids=uuids)
    return await many_response(call, uuids)


async def search(call: Call) -> ASGIApp:
    """Return the uuids of vCons with such parties; every given term must match."""
    terms = search_terms(call.query)
    if terms is None:
        raise BadRequest("At least one search parameter must be provided")
    if "" in (terms.tel, terms.mailto, terms.name):
        return json_response([])  # nothing empty is indexed
    return json_response(await call.services.documents.search(terms))
