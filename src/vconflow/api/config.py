"""/config: the configuration that is in force, its earlier versions, and changing it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import decode_json, json_response, read_body
from vconflow.api.preconditions import matches_strongly
from vconflow.api.refusals import InvalidRequest
from vconflow.errors import ConfigError, NotFound, Problem, RevisionMismatch
from vconflow.ports.config_store import ConfigVersion

__all__ = ["read", "read_version", "replace", "roll_back", "versions"]

_MOST_BYTES = 1024 * 1024
_LONGEST_COMMENT = 500


async def read(call: Call) -> ASGIApp:
    """Return the configuration with every secret masked."""
    serial, document = await call.services.configuration.shown()
    return json_response(document, headers={"ETag": _etag(serial)})


async def replace(call: Call) -> Response:
    """Make the body the configuration of every replica."""
    limit = min(_MOST_BYTES, call.services.settings.vconflow_max_body_bytes)
    comment = _comment(call)
    body = await read_body(call.headers, call.receive, limit, call.hold_body)
    document = decode_json(body, Any)
    expected = await _expected(call)
    with _problems_in("body"):
        version = await call.services.configuration.replace(
            document, by=call.owner or "api", comment=comment, expected=expected
        )
    call.note(version=version.serial)
    return _changed(version)


async def versions(call: Call) -> ASGIApp:
    """Return what is known of the versions that are kept, the newest first."""
    configuration = call.services.configuration
    found = await configuration.versions()
    return json_response([_shown(version, configuration.serial) for version in found])


async def read_version(call: Call) -> ASGIApp:
    """Return the configuration of a version with every secret masked."""
    serial = _serial(call)
    document = await call.services.configuration.version(serial)
    return json_response(document, headers={"ETag": _etag(serial)})


async def roll_back(call: Call) -> Response:
    """Make an earlier version the configuration of every replica, as a new version."""
    serial, comment, expected = _serial(call), _comment(call), await _expected(call)
    with _problems_in("version"):
        version = await call.services.configuration.roll_back(
            serial, by=call.owner or "api", comment=comment, expected=expected
        )
    call.note(current=version.serial)
    return _changed(version)


@contextmanager
def _problems_in(part: str) -> Iterator[None]:
    """What is wrong with a configuration is wrong with this part of the request."""
    try:
        yield
    except ConfigError as error:
        problems = [Problem((part, *it.loc), it.message, it.type) for it in error.problems]
        raise InvalidRequest(problems) from None


def _changed(version: ConfigVersion) -> Response:
    return Response(None, 204, {"ETag": _etag(version.serial)})


def _shown(version: ConfigVersion, in_force: int) -> dict[str, Any]:
    return {
        "version": version.serial,
        "hash": version.hash,
        "at": version.at / 1000,
        "by": version.by,
        "comment": version.comment,
        "current": version.serial == in_force,
    }


def _etag(serial: int) -> str:
    return f'"{serial}"'


async def _expected(call: Call) -> int | None:
    """The serial that If-Match names, None without the header or for `*`."""
    header = call.header(b"if-match")
    if not header or header.strip() == "*":
        return None
    for version in await call.services.configuration.versions():
        if matches_strongly(header, _etag(version.serial)):
            return version.serial
    raise RevisionMismatch("The configuration has another version")


def _serial(call: Call) -> int:
    text = call.path["version"]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise NotFound("No such version of the configuration")
    return int(text)


def _comment(call: Call) -> str:
    comment = call.query.optional("comment") or ""
    if len(comment) > _LONGEST_COMMENT:
        message = f"is longer than {_LONGEST_COMMENT} characters"
        raise InvalidRequest.at(("query", "comment"), message, "too_long")
    return comment
