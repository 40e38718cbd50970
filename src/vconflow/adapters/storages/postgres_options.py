"""Options of the storage `postgres`, and what the driver makes its connections of."""

import os
import re
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from msgspec import Meta

from vconflow.adapters.storages.postgres_table import Table
from vconflow.errors import Retryable
from vconflow.ports.component import Options, Secret

__all__ = ["PostgresOptions", "pool_settings"]

_PORT: Final = re.compile(r":\d*\Z")
_SCHEMES: Final = frozenset({"postgresql", "postgres"})
_HOST: Final = r"(\[[^]@]*\]|[^][:,@]*)(:\d*)?"
_HOSTS: Final = re.compile(f"{_HOST}(,{_HOST})*")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class PostgresOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `postgres`."""

    dsn: Annotated[
        Secret | None,
        Meta(
            description="`postgresql://user:password@host:port/database?sslmode=…`, in place of "
            "database, user, password, host and port."
        ),
    ] = None
    database: Annotated[str, Meta(description="The database.")] = "vcon_db"
    user: Annotated[str, Meta(description="The role.")] = "postgres"
    password: Annotated[
        Secret | None,
        Meta(
            description="Its password. Unset, `PGPASSWORD` of the environment if `host` is that of "
            "`PGHOST`, else none."
        ),
    ] = None
    host: Annotated[str, Meta(description="The host, or the folder of a unix socket.")] = (
        "localhost"
    )
    port: Annotated[int, Meta(ge=1, le=65535, description="The TCP port.")] = 5432
    table_name: Annotated[
        str, Meta(description="The table, `schema.table` for one outside the search path.")
    ] = "vcons"
    pool_size: Annotated[int, Meta(ge=1, description="How many connections at most.")] = 10
    connect_timeout: Annotated[
        float, Meta(gt=0, description="Seconds that opening a connection may take.")
    ] = 10.0
    prepared_statements: Annotated[
        bool, Meta(description="Switch off behind a PgBouncer that does not support them.")
    ] = True
    name: Annotated[
        str | None, Meta(description="Without effect; examples of the reference have it.")
    ] = None

    def __post_init__(self) -> None:
        Table.named(self.table_name)
        if self.dsn and not _is_dsn(self.dsn.reveal()):
            raise ValueError(
                "dsn: expected postgresql://user:password@host:port/database; write special "
                "characters of the password as %XX"
            )


def _is_dsn(dsn: str) -> bool:
    """Whether the driver reads what is meant; its errors quote what it cannot read."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return False
    # As the driver does: behind the first `@`. Another one is that of a password.
    _, at, hosts = parts.netloc.partition("@")
    hosts = hosts if at else parts.netloc
    is_password = not at and ":" in hosts
    query = "" if "=" in parts.query else parts.query
    return (
        parts.scheme in _SCHEMES
        and _HOSTS.fullmatch(hosts) is not None
        and not (is_password and "@" in parts.path + query + parts.fragment)
    )


def pool_settings(options: PostgresOptions) -> dict[str, Any]:
    """Return the arguments of `asyncpg.create_pool`; nothing is connected before it is needed."""
    return {
        "min_size": 0,
        "max_size": options.pool_size,
        "timeout": options.connect_timeout,
        "statement_cache_size": 100 if options.prepared_statements else 0,
        "reset": _leave_as_it_is,
        "server_settings": {"application_name": "vconflow", "timezone": "UTC"},
        "connect": _connect,
        **(_by_dsn(options.dsn.reveal()) if options.dsn else _by_parts(options)),
    }


async def _leave_as_it_is(_: object) -> None:
    """Spare the statement that resets a session: nothing of ours outlives its transaction."""


async def _connect(*args: Any, **kwargs: Any) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(*args, **kwargs)
    except (asyncpg.exceptions.ClientConfigurationError, ValueError):
        # It would quote what it cannot read, in the options or in the environment.
        raise Retryable("PostgreSQL: the driver does not understand its settings") from None


def _by_dsn(dsn: str) -> dict[str, Any]:
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    settings: dict[str, Any] = {"dsn": dsn}
    if parts.password is None and "password" not in query:
        # Both places may name hosts, and each several: the driver may take any of them.
        before_path = unquote(_PORT.sub("", parts.netloc.rpartition("@")[2]))
        named = {*query.get("host", ()), *query.get("service", ()), before_path}
        settings["password"] = _password_for(named - {""})
    if "sslmode" not in query:
        settings |= _tls(parts.hostname or "")
    return settings


def _by_parts(options: PostgresOptions) -> dict[str, Any]:
    return {
        "host": options.host,
        "port": options.port,
        "user": options.user,
        "password": options.password.reveal()
        if options.password
        else _password_for({options.host}),
        "database": options.database,
        **_tls(options.host),
    }


def _password_for(hosts: set[str]) -> str:
    """The password of the environment, which is meant for the host of the environment: a
    configuration that came over HTTP must not have it sent to another one.
    """
    meant = os.environ.get("PGHOST") or "localhost"
    is_meant = hosts <= {meant, *meant.split(",")}
    # None at all would have the driver read ~/.pgpass, on the event loop.
    return os.environ.get("PGPASSWORD", "") if is_meant else ""


def _tls(host: str) -> dict[str, Any]:
    """Leave TLS out on the way to the same machine, unless it is asked for.

    Elsewhere the driver's default holds: TLS if the server offers it.
    """
    return {"ssl": False} if host in _LOOPBACK and "PGSSLMODE" not in os.environ else {}
