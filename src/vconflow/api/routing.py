"""From method and path to a route. A path without parameters costs one dictionary look-up."""

import enum
import re
from collections.abc import Iterable
from typing import NamedTuple

from vconflow.api.call import Handler
from vconflow.api.refusals import UnknownPath, WrongMethod

__all__ = ["Auth", "Match", "Route", "Router"]

_PARAMETER = re.compile(r"\{(\w+)\}")
# The names of lists and chains may have slashes in them, which servers decode before we see them.
_MATCHING = dict.fromkeys(("chain", "list"), "(?s:.+)")


class Auth(enum.IntEnum):
    """Who may use a route. A number, since every request looks it up: other enums hash slowly."""

    READ = enum.auto()
    """Holders of any API key."""
    WRITE = enum.auto()
    """Holders of an API key that may store, hand on, fetch and delete vCons."""
    ADMIN = enum.auto()
    """Holders of an API key that may do everything."""
    PARTNER = enum.auto()
    """Holders of a partner key for the list that the request names, and nobody else."""
    STATS = enum.auto()
    """Everyone, unless VCONFLOW_PUBLIC_STATS is false."""
    NONE = enum.auto()
    """Everyone."""


class Route(NamedTuple):
    """One line of the table; `methods` are separated by blanks, `path` may hold `{name}`s."""

    methods: str
    path: str
    handler: Handler
    auth: Auth
    tag: str


class Match(NamedTuple):
    """The route of a request, None for OPTIONS, and the parameters of its path."""

    route: Route | None
    path: dict[str, str]
    allow: str


class _Target:
    """All routes of one path."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.allow = ""

    def add(self, route: Route) -> None:
        for method in route.methods.split():
            if method in self.routes:
                raise ValueError(f"{method} {route.path} stands twice in the table")
            self.routes[method] = route
        self.allow = ", ".join([*self.routes, "OPTIONS"])

    def match(self, method: str, path: dict[str, str]) -> Match:
        route = self.routes.get(method)
        if route is None and method != "OPTIONS":
            raise WrongMethod(self.allow)
        return Match(route, path, self.allow)


class Router:
    """Serves every route as it stands in the table and below `prefix`."""

    def __init__(self, table: Iterable[Route], prefix: str) -> None:
        prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
        targets: dict[str, _Target] = {}
        for route in table:
            targets.setdefault(route.path, _Target()).add(route)
        self._exact: dict[str, _Target] = {}
        self._patterns: list[tuple[re.Pattern[str], _Target]] = []
        for path, target in targets.items():
            if "{" in path:
                self._patterns.append((_pattern(path, prefix), target))
            else:
                self._exact[path] = self._exact[prefix + path] = target

    def match(self, method: str, path: str) -> Match:
        """Return the route of a request. Raises UnknownPath or WrongMethod."""
        target = self._exact.get(path)
        if target is not None:
            return target.match(method, {})
        if path.endswith("/") and path != "/":
            return self.match(method, path.rstrip("/") or "/")
        for pattern, target in self._patterns:
            if found := pattern.fullmatch(path):
                return target.match(method, found.groupdict())
        raise UnknownPath("Not Found")


def _pattern(path: str, prefix: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(path)
    text = "".join(
        f"(?P<{part}>{_MATCHING.get(part, '[^/]+')})" if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
    return re.compile(f"(?:{re.escape(prefix)})?{text}")
