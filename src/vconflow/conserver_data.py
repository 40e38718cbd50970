"""What a conserver left in the same Redis, seen with the eyes of a configuration."""

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.migration.routes import Route, dead_list, storage_dead_list
from vconflow.adapters.redis.migration.survey import Survey, survey
from vconflow.config import Config
from vconflow.errors import VconflowError
from vconflow.telemetry import events

__all__ = ["describe", "routes_of", "stray_route", "tell_of_conserver_data"]


def routes_of(config: Config) -> list[Route]:
    """Every Redis list that a conserver with this configuration may have, and where it goes."""
    routes: dict[str, Route] = {}
    for chain in config.chains.values():
        for name in chain.ingress_lists:
            routes[name] = Route(source=name, target=name, kind="ingress")
            routes[dead_list(name)] = _dead(name, chain.name)
    for chain in config.chains.values():
        for name in chain.egress_lists:
            egress = Route(source=name, target=name, kind="egress", feeds=False, from_head=False)
            routes.setdefault(name, egress)
        for storage in chain.storages if chain.ingress_lists else ():
            source = storage_dead_list(storage)
            known = _dead(chain.ingress_lists[0], chain.name, source, storage, chain.storages)
            routes.setdefault(source, known)
    return list(routes.values())


def stray_route(name: str) -> Route:
    """Where a Redis list goes that the configuration does not name: to our list of that name."""
    if name.startswith(dead_list("")):
        return _dead(name.removeprefix(dead_list("")), "")
    return Route(source=name, target=name, kind="egress", feeds=False)


def _dead(
    target: str, chain: str, source: str = "", storage: str = "", storages: tuple[str, ...] = ()
) -> Route:
    return Route(
        source=source or dead_list(target),
        target=target,
        kind="dead",
        from_head=False,
        chain=chain,
        storage=storage,
        storages=storages,
    )


async def tell_of_conserver_data(backend: RedisBackend, config: Config, created_name: str) -> None:
    """Log what a conserver left, as far as a quick look shows; nothing is changed."""
    if backend.is_divided:
        return  # a conserver's keys have no tags
    client, keys = backend.connections.commands, Keys(created_name)
    try:
        found = await survey(client, keys, routes_of(config), glance=True)
    except VconflowError:
        return  # whether Redis is well is not the question here
    if found:
        events.conserver_data_found(describe(found))


def describe(found: Survey) -> str:
    """One line for people, e.g. `3 uuids in 'in', 12 documents of RedisJSON`."""
    parts = [f"{count} uuids in {name!r}" for name, count in found.lists.items()]
    numbers = {
        "documents of RedisJSON": found.json_documents,
        "documents that nobody here has listed": found.plain_documents,
        "keys of its search index": found.indexes,
        "members of its listing": found.listed,
    }
    return ", ".join([*parts, *(f"{count} {what}" for what, count in numbers.items() if count)])
