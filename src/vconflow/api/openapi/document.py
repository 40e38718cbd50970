"""The OpenAPI document: what the tables say, and what all routes have in common."""

import inspect
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from vconflow.api.answers import Problems, Refusal
from vconflow.api.call import Handler
from vconflow.api.openapi import chains, config, dead_letters, lists, system, vcons
from vconflow.api.openapi.operation import JSON, Answer, Body, Operation, Parameter
from vconflow.api.openapi.vcon_schema import COMPONENTS, REFS
from vconflow.api.routing import Auth, Route

__all__ = ["OPERATIONS", "describe"]

OPERATIONS: Final[Mapping[Handler, Operation]] = {
    **vcons.OPERATIONS,
    **lists.OPERATIONS,
    **dead_letters.OPERATIONS,
    **chains.OPERATIONS,
    **config.OPERATIONS,
    **system.OPERATIONS,
}

_SCHEME = "key"
_RETRY = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "required": True}}
_ERRORS: Final[Mapping[int, tuple[str, Any]]] = {
    400: ("The request makes no sense.", Refusal),
    403: ("The API key is missing or wrong, or may not do this.", Refusal),
    404: ("There is no such thing.", Refusal),
    409: ("It contradicts what is stored or configured.", Refusal),
    412: ("`If-Match` names another revision.", Refusal),
    413: ("The body is too large.", Refusal),
    414: ("The URL is too long.", Refusal),
    415: ("The content type or encoding is not read here.", Refusal),
    422: ("What was sent is malformed; nothing of it is quoted.", Problems),
    429: ("Too many requests: try again later.", Refusal),
    503: ("Redis is away, or too much is under way: try again later.", Refusal),
}
_ALWAYS = (503,)
_WITH_KEY = (403, 429)
_STAMPS: Final = {
    "X-Request-Id": "The id of this request in the logs: yours if you sent a valid one.",
    "X-Vcon-Server-Version": "The version of the server.",
    "X-Vcon-Server-Commit": "The commit it was built of.",
}
_TEXT = """Takes conversations (vCons) in, carries each through a chain of links, stores it.

A 4xx means that a repeat of the same request cannot help; 503 and 429 say when to try again.
HEAD is answered wherever GET changes nothing."""


class _Types:
    """Turns types into schemas that refer to the shared ones."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        kinds = [Refusal, Problems, *itertools.chain.from_iterable(map(_kinds, operations))]
        wanted = [kind for kind in kinds if not isinstance(kind, dict)]
        made, self.components = msgspec.json.schema_components(wanted, ref_template=REFS)
        for schema in self.components.values():
            if (
                "description" in schema
            ):  # a docstring as it is indented, which Markdown takes for code
                schema["description"] = inspect.cleandoc(schema["description"])
        self._made = dict(zip(map(id, wanted), made, strict=True))

    def schema(self, kind: Any) -> Any:
        if isinstance(kind, dict):
            return kind
        return self._made[id(kind)]


def describe(routes: Iterable[Route], version: str, header: str, servers: list[str]) -> Any:
    """Return the document; `header` carries the key, `servers` are where the paths begin.

    Raises KeyError for a route that is not documented.
    """
    routes = tuple(routes)
    types = _Types([OPERATIONS[route.handler] for route in routes])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in route.methods.split():
            if method != "HEAD":
                described = _operation(route, method, types)
                paths.setdefault(route.path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "vconflow", "version": version, "description": _TEXT},
        "servers": [{"url": url} for url in servers],
        "paths": paths,
        "components": {
            "schemas": {**types.components, **COMPONENTS},
            "securitySchemes": {_SCHEME: {"type": "apiKey", "in": "header", "name": header}},
            "headers": {name: _stamp(text) for name, text in _STAMPS.items()},
        },
    }


def _operation(route: Route, method: str, types: _Types) -> dict[str, Any]:
    operation = OPERATIONS[route.handler]
    summary, _, more = (inspect.getdoc(route.handler) or "").partition("\n")
    described: dict[str, Any] = {
        "operationId": _id_of(route, method),
        "summary": summary.removesuffix("."),
        "tags": [route.tag],
        "security": [] if _is_open(route) else [{_SCHEME: []}],
        "responses": _responses(route, operation, types),
    }
    if more.strip():
        described["description"] = more.strip()
    if operation.parameters:
        described["parameters"] = [_parameter(it, types) for it in operation.parameters]
    if operation.body:
        described["requestBody"] = _body(operation.body, types)
    return described


def _id_of(route: Route, method: str) -> str:
    module = route.handler.__module__.rpartition(".")[2]
    name = f"{module}_{getattr(route.handler, '__name__', '')}"
    return name if method == route.methods.split()[0] else f"{name}_{method.lower()}"


def _is_open(route: Route) -> bool:
    return route.auth in (Auth.NONE, Auth.STATS)


def _responses(route: Route, operation: Operation, types: _Types) -> dict[str, Any]:
    errors = {*operation.errors, *_ALWAYS, *(() if _is_open(route) else _WITH_KEY)}
    if any(parameter.where != "header" for parameter in operation.parameters):
        errors.add(414)
    said = {answer.status: _answer(answer, operation, types) for answer in operation.answers}
    refused = {status: _refusal(status, types) for status in errors if status not in said}
    found = said | refused
    return {str(status): found[status] for status in sorted(found)}


def _answer(answer: Answer, operation: Operation, types: _Types) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description, "headers": _stamps()}
    for header in answer.headers:
        response["headers"][header.name] = {
            "description": header.description,
            "schema": types.schema(header.kind),
            "required": header.required,
        }
    if answer.kind is not None:
        response["content"] = {answer.media_type: {"schema": types.schema(answer.kind)}}
    if answer is operation.answers[0] and operation.links:
        response["links"] = {
            to: {"operationId": to, "parameters": {link.parameter: link.expression}}
            for link in operation.links
            for to in link.to
        }
    return response


def _refusal(status: int, types: _Types) -> dict[str, Any]:
    text, kind = _ERRORS[status]
    headers = _stamps() | (_RETRY if status in (429, 503) else {})
    content = {JSON: {"schema": types.schema(kind)}}
    return {"description": text, "headers": headers, "content": content}


def _stamps() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in _STAMPS}


def _stamp(text: str) -> dict[str, Any]:
    return {"description": text, "required": True, "schema": {"type": "string"}}


def _parameter(parameter: Parameter, types: _Types) -> dict[str, Any]:
    described = {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": types.schema(parameter.kind),
    }
    return described if parameter.example is None else described | {"example": parameter.example}


def _body(body: Body, types: _Types) -> dict[str, Any]:
    content = {}
    for media_type, kind in body.kinds.items():
        content[media_type] = {"schema": types.schema(kind)}
        if body.example is not None and "json" in media_type and "ndjson" not in media_type:
            content[media_type]["example"] = body.example
    return {"description": body.description, "required": body.required, "content": content}


def _kinds(operation: Operation) -> Iterable[Any]:
    yield from (parameter.kind for parameter in operation.parameters)
    if operation.body:
        yield from operation.body.kinds.values()
    for answer in operation.answers:
        yield from (header.kind for header in answer.headers)
        if answer.kind is not None:
            yield answer.kind
