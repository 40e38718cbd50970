"""The description of the API is whole and true as far as it can be told without a server."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from api_doubles import World, make_vcon
from starlette.types import Message

from vconflow.api import build_asgi
from vconflow.api.call import Call
from vconflow.api.lists import _cached_lists
from vconflow.api.openapi.document import OPERATIONS, describe
from vconflow.api.openapi.lists import UUIDS_BODY
from vconflow.api.openapi.operation import Operation
from vconflow.api.openapi.vcon_schema import COMPONENTS, EXAMPLE
from vconflow.api.parameters import Query
from vconflow.api.routes import ROUTES
from vconflow.api.routing import Auth, Route
from vconflow.errors import VconflowError
from vconflow.model.validation import validate


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await client.get("/openapi.json")).json())


def test_every_route_is_documented_and_nothing_else() -> None:
    assert {route.handler for route in ROUTES} == set(OPERATIONS)


def test_a_route_without_an_entry_is_an_error() -> None:
    async def stranger(call: Any) -> Any:
        """Do something."""

    with pytest.raises(KeyError):
        describe([Route("GET", "/x", stranger, Auth.NONE, "x")], "1", "key", ["."])


async def test_every_method_and_path_is_there(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    there = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert there == {
        (method, route.path)
        for route in ROUTES
        for method in route.methods.split()
        if method != "HEAD"
    }


async def test_every_operation_says_what_it_does_and_has_a_name_of_its_own(
    document: dict[str, Any],
) -> None:
    names = []
    for operations in document["paths"].values():
        for operation in operations.values():
            names.append(operation["operationId"])
            assert operation["summary"], operation["operationId"]
            assert not operation["summary"].endswith(".")
    assert len(names) == len(set(names))


async def test_all_references_lead_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for inner in node.values():
                yield from references(inner)
        elif isinstance(node, list):
            for inner in node:
                yield from references(inner)

    for reference in references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


async def test_links_lead_to_operations(document: dict[str, Any]) -> None:
    names = {
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    }
    linked = {
        link["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    }
    assert linked >= {"vcons_read", "vcons_replace", "vcons_delete"}
    assert linked <= names


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.methods} {route.path}")
def test_path_parameters_are_those_of_the_path(route: Route) -> None:
    documented = {it.name for it in OPERATIONS[route.handler].parameters if it.where == "path"}
    assert documented == set(re.findall(r"\{(\w+)\}", route.path))


UUID = "018f4f2c-7d3a-8b4e-9c21-5a0f3e6d1b77"
VALUES = {
    "vcon_uuids": UUID, "ingress_lists": "inbox", "ingress_list": "inbox", "egress_list": "out",
    "list_name": "out", "list": "inbox", "chain": "main", "cursor": "WyJpbmJveCJd", "all": "true",
    "if-match": "*", "vcon_uuid": UUID, "asset": "start.js", "type": "failed",
}  # fmt: skip


class Recorder(dict[Any, Any]):
    """Remembers which members were asked for."""

    read: set[str]

    def get(self, name: Any, default: Any = None) -> Any:
        self.read.add(name.decode() if isinstance(name, bytes) else name)
        return super().get(name, default)

    def items(self) -> Any:
        # Whoever takes all refuses what it does not know.
        self.read.update(self)
        return super().items()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.methods} {route.path}")
async def test_what_is_documented_is_read_and_what_is_read_is_documented(
    world: World, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.core.accept(make_vcon(UUID), ())
    operation = OPERATIONS[route.handler]
    query, headers = documented(operation, "query"), documented(operation, "header")
    read: set[str] = set()
    make = Query.__init__

    def recording(self: Query, raw: bytes) -> None:
        make(self, raw)
        self._values = recorder(self._values, read)

    monkeypatch.setattr(Query, "__init__", recording)
    _cached_lists.cache_clear()
    call = call_of(world, route, query, headers)
    call.headers = recorder(call.headers, seen := set())
    with suppress(VconflowError):  # what comes of it does not matter here
        response = await route.handler(call)
        if route.path == "/events":
            await response(call.scope, _gone, _dropped)  # else its place is never given back
    assert read & named("query") == query
    assert seen & named("header") == headers


def recorder(values: dict[Any, Any], read: set[str]) -> Any:
    made = Recorder(values)
    made.read = read
    return made


def documented(operation: Operation, where: str) -> set[str]:
    return {
        it.name.lower() if where == "header" else it.name
        for it in operation.parameters
        if it.where == where
    }


def named(where: str) -> set[str]:
    """The names of all parameters of that kind: others are everybody's."""
    return set().union(*(documented(operation, where) for operation in OPERATIONS.values()))


def call_of(world: World, route: Route, query: set[str], headers: set[str]) -> Call:
    """A request with these parameters; what it says makes sense."""
    operation = OPERATIONS[route.handler]
    is_vcon = operation.body is not None and operation.body.example is not None
    is_uuids = operation.body is UUIDS_BODY
    body = make_vcon(UUID) if is_vcon else json.dumps([UUID] if is_uuids else {}).encode()
    scope = {
        "type": "http",
        "method": route.methods.split()[0],
        "path": route.path,
        "query_string": urlencode({name: VALUES.get(name, "1") for name in query}).encode(),
        "headers": [(name.encode(), VALUES.get(name, "1").encode()) for name in headers],
    }
    path = {it.name: VALUES.get(it.name, "1") for it in operation.parameters if it.where == "path"}

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    return Call(world.services(), scope, receive, path)


async def _gone() -> Message:
    return {"type": "http.disconnect"}


async def _dropped(_message: Message) -> None:
    pass


async def test_no_operation_is_open_that_needs_a_key(document: dict[str, Any]) -> None:
    for route in ROUTES:
        method = route.methods.split()[0].lower()
        security = document["paths"][route.path][method]["security"]
        assert bool(security) == (route.auth not in (Auth.NONE, Auth.STATS))
    scheme = document["components"]["securitySchemes"]["key"]
    assert scheme == {"type": "apiKey", "in": "header", "name": "x-conserver-api-token"}


def test_the_example_is_a_vcon() -> None:
    assert validate(json.dumps(EXAMPLE).encode()).form == "unsigned"


def test_the_vcon_schema_has_what_the_decoder_knows() -> None:
    assert {"transfer-target", "party_history", "body"} <= set(COMPONENTS["Dialog"]["properties"])
    assert "parties" not in COMPONENTS["NewDialog"]["properties"]


async def test_the_description_is_open_and_cached_by_its_etag(world: World) -> None:
    transport = httpx.ASGITransport(build_asgi(world.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as stranger:
        reply = await stranger.get("/openapi.json")
        assert reply.status_code == 200
        again = await stranger.get(
            "/openapi.json", headers={"if-none-match": reply.headers["etag"]}
        )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "servers"),
    [
        ("/openapi.json", ["http://h/p/vcon", "http://h/p/api/vcon"]),
        ("/api/openapi.json", ["http://h/p/api/vcon", "http://h/p/vcon"]),
    ],
)
async def test_its_servers_are_right_wherever_it_is_read(
    client: httpx.AsyncClient, path: str, servers: list[str]
) -> None:
    document = (await client.get(path)).json()
    # Behind a proxy that serves us below /p.
    base = httpx.URL(f"http://h/p{path}")
    found = [str(base.join(server["url"] + "/")) for server in document["servers"]]
    assert [f"{url.rstrip('/')}/vcon" for url in found] == servers
