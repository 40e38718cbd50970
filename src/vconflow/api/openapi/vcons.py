"""The routes that store, read, replace, delete and find vCons."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from vconflow.api import bulk, external, semantic_search, vcons
from vconflow.api.answers import BulkReport, Deletion
from vconflow.api.call import Handler
from vconflow.api.openapi.operation import Answer, Body, Header, Link, Operation, Parameter, text
from vconflow.api.openapi.vcon_schema import EXAMPLE, NEW_VCON, VCON, Uuid

__all__ = [
    "AGAIN",
    "ETAG",
    "IF_MATCH",
    "IF_NONE_MATCH",
    "INGRESS_LISTS",
    "OPERATIONS",
    "STORING",
    "TRACE",
    "VCON_BODY",
    "VCON_UUID",
]

_LISTS = list[str]
_PAGE = Annotated[int, Meta(ge=1, le=1_000_000_000)]
_SIZE = Annotated[int, Meta(ge=1, le=1_000)]
_LIMIT = Annotated[int, Meta(ge=1, le=semantic_search.MOST)]
_UUIDS = Annotated[list[Uuid], Meta(max_length=1_000)]
_MOMENT: Final = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^[0-9]{0,12}$"},
    ]
}

VCON_UUID: Final = Parameter("vcon_uuid", Uuid, "The uuid of the vCon.", "path", True)
INGRESS_LISTS: Final = (
    Parameter(
        "ingress_lists",
        _LISTS,
        "The lists to put it on, repeated or joined by commas; none just stores it. "
        "Headers of this name count as well.",
    ),
    Parameter("ingress_list", _LISTS, "Another name of `ingress_lists`."),
)
TRACE: Final = Parameter("traceparent", str, "W3C Trace Context: the trace goes on.", "header")
AGAIN: Final = Parameter(
    "Idempotency-Key",
    text(0, 255),
    "For 24 hours a repeat with this key and the same body does nothing more.",
    "header",
)
VCON_BODY: Final = Body(
    {"application/json": NEW_VCON, "application/vcon": NEW_VCON, "application/vcon+json": NEW_VCON},
    "A vCon: unsigned, signed or encrypted, gzipped if you like (`Content-Encoding: gzip`, or "
    "`application/vcon+gzip`).",
    example=EXAMPLE,
)
ETAG: Final = Header("ETag", "Names these very bytes.")
STORING: Final = (409, 413, 415, 422)

_PERHAPS: Final = {"type": "array", "items": {"anyOf": [VCON, {"type": "null"}]}}
IF_NONE_MATCH: Final = Parameter("If-None-Match", str, "ETags you have.", "header")
IF_MATCH: Final = Parameter("If-Match", str, "Only if this ETag is still the one.", "header")
_TO = ("vcons_read", "vcons_replace", "vcons_delete")

OPERATIONS: Final[Mapping[Handler, Operation]] = {
    vcons.page: Operation(
        parameters=(
            Parameter("page", _PAGE, "Which page, from 1 on."),
            Parameter("size", _SIZE, "How many uuids a page has; 50 if not said."),
            Parameter("since", _MOMENT, "Only those from then on: a date, or Unix seconds."),
            Parameter("until", _MOMENT, "Only those until then: a date, or Unix seconds."),
        ),
        answers=(Answer(200, "The uuids.", list[str]),),
        errors=(422,),
    ),
    vcons.create: Operation(
        parameters=(*INGRESS_LISTS, AGAIN, TRACE),
        body=VCON_BODY,
        answers=(Answer(201, "It is stored; the body is the one you sent.", VCON),),
        errors=(404, *STORING),
        links=(Link("$response.body#/uuid", "vcon_uuid", _TO),),
    ),
    vcons.read: Operation(
        parameters=(VCON_UUID, IF_NONE_MATCH),
        answers=(
            Answer(200, "The vCon.", VCON, (ETAG,)),
            Answer(304, "You have it already.", headers=(ETAG,)),
        ),
        errors=(404, 422),
    ),
    vcons.replace: Operation(
        parameters=(
            VCON_UUID,
            IF_MATCH,
            IF_NONE_MATCH,
            TRACE,
        ),
        body=VCON_BODY,
        answers=(Answer(200, "It is replaced.", VCON, (ETAG,)),),
        errors=(404, 412, *STORING),
        links=(Link("$request.path.vcon_uuid", "vcon_uuid", _TO),),
    ),
    vcons.delete: Operation(
        parameters=(VCON_UUID,),
        answers=(
            Answer(204, "It is gone, or was never there."),
            Answer(207, "Some storages could not delete it; ask again.", Deletion),
        ),
        errors=(422,),
    ),
    vcons.read_many: Operation(
        parameters=(Parameter("vcon_uuids", _UUIDS, "The uuids, repeated or joined by commas."),),
        answers=(Answer(200, "The vCons in this order, null for those missing.", _PERHAPS),),
        errors=(422,),
    ),
    vcons.search: Operation(
        parameters=(
            Parameter("tel", str, "A telephone number, with or without `tel:`."),
            Parameter("mailto", str, "An e-mail address, with or without `mailto:`."),
            Parameter("name", str, "A name."),
        ),
        answers=(Answer(200, "The uuids of the vCons that have all of them.", list[str]),),
        errors=(400, 422),
    ),
    semantic_search.search: Operation(
        parameters=(
            Parameter(
                "q",
                text(1, semantic_search.LONGEST, semantic_search.WORDS),
                "What is looked for, in any words.",
                required=True,
                example="wants the money back",
            ),
            Parameter("limit", _LIMIT, "How many vCons at most; 10 if not said."),
        ),
        answers=(Answer(200, "The vCons that fit best.", semantic_search.SemanticHits),),
        errors=(404, 422),
    ),
    bulk.create: Operation(
        parameters=(*INGRESS_LISTS, AGAIN, TRACE),
        body=Body(
            {**VCON_BODY.kinds, "application/x-ndjson": {"type": "string"}},
            "A vCon, or with `application/x-ndjson` one vCon a line, of any total length.",
            example=EXAMPLE,
        ),
        answers=(
            Answer(201, "The vCon is stored; the body is the one you sent.", VCON),
            Answer(200, "The bulk load is through.", BulkReport),
        ),
        errors=(404, *STORING),
    ),
    external.create: Operation(
        parameters=(
            Parameter("ingress_list", text(), "The list that the key is for.", required=True),
            AGAIN,
            TRACE,
        ),
        body=VCON_BODY,
        answers=(Answer(204, "It is stored and on the list."),),
        errors=(404, *STORING),
    ),
}
