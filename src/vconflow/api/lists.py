"""Which lists a request names, putting stored vCons on them, and how full they are."""

from functools import lru_cache

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import decode_json, json_response, read_body
from vconflow.api.idempotency import idempotency_key
from vconflow.api.parameters import Query, uuids_of
from vconflow.api.services import ChainInfo
from vconflow.errors import NotFound

__all__ = ["chain_ingress", "chain_of", "ingress", "ingress_lists", "stats"]

_NAMES = ("ingress_lists", "ingress_list")
# Proxies drop header names with an underscore, and many clients write hyphens instead.
_HEADERS = frozenset(
    spelling.encode() for name in _NAMES for spelling in (name, name.replace("_", "-"))
)


_LONGEST_CACHED = 512
"""Bytes: a thousand requests with long ones would fill the memory for good."""


class _Uuids(msgspec.Struct):
    uuids: list[str]


def ingress_lists(call: Call) -> tuple[str, ...]:
    """The lists that a POST asks for, each once: in the query, or in headers of the same names."""
    headers: tuple[bytes, ...] = ()
    if not _HEADERS.isdisjoint(call.headers):
        headers = tuple(value for name, value in call.scope["headers"] if name in _HEADERS)
    query_string = call.scope["query_string"]
    is_short = len(query_string) + sum(map(len, headers)) <= _LONGEST_CACHED
    return (_cached_lists if is_short else _named_lists)(query_string, headers)


def _named_lists(query_string: bytes, headers: tuple[bytes, ...]) -> tuple[str, ...]:
    query = Query(query_string)
    names = [name for parameter in _NAMES for name in query.several(parameter)]
    for value in headers:
        names += [text for part in _text(value).split(",") if (text := part.strip())]
    return tuple(dict.fromkeys(names))


# A client asks for the same lists in every request.
_cached_lists = lru_cache(maxsize=1024)(_named_lists)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def ingress(call: Call) -> ASGIApp:
    """Put stored vCons on a list by their uuids."""
    return await _enqueue(call, call.query.required("ingress_list"))


async def chain_ingress(call: Call) -> ASGIApp:
    """Put stored vCons on the first ingress list of a chain."""
    name, chain = chain_of(call)
    if not chain.ingress_lists:
        raise NotFound(f"Chain '{name}' has no ingress list")
    return await _enqueue(call, chain.ingress_lists[0])


async def _enqueue(call: Call, list_name: str) -> ASGIApp:
    limit = call.services.settings.vconflow_max_body_bytes
    body = await read_body(call.headers, call.receive, limit, call.hold_body)
    sent: list[str] | _Uuids = decode_json(body, list[str] | _Uuids)
    uuids = uuids_of(sent.uuids if isinstance(sent, _Uuids) else sent, "body")
    call.note(list=list_name, uuids=uuids)
    skipped = await call.services.ingest.enqueue(
        uuids, list_name, owner=call.owner, trace=call.trace, idempotency_key=idempotency_key(call)
    )
    return Response(None, 204, {"X-Skipped": str(skipped)})


def chain_of(call: Call) -> tuple[str, ChainInfo]:
    """The chain that the path names. Raises NotFound."""
    name = call.path["chain"]
    chain = call.services.topology().chains.get(name)
    if chain is None:
        raise NotFound(f"Chain '{name}' is not configured")
    return name, chain


async def stats(call: Call) -> ASGIApp:
    """Say how many entries of a configured list nobody has taken yet."""
    name = call.query.required("list_name")
    if name not in call.services.topology().lists:
        raise NotFound(f"List '{name}' is not configured")
    depth = await call.services.egress.depth(name)
    return json_response({"list_name": name, "depth": depth})
