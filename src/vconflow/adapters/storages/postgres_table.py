"""The table of the storage `postgres`: its names, and making it what it has to be."""

import re
from dataclasses import dataclass

import asyncpg

__all__ = ["Table"]

_IDENTIFIER_BYTES = 63
_INDEXES = ("created_at", "uuid", "json")
_PARTS = re.compile(r"(?:([^.]+)[.])?([^.]+)")


@dataclass(frozen=True)
class Table:
    """A table and its indexes by their quoted names; `schema` with its dot, or empty."""

    schema: str
    name: str
    indexes: dict[str, str]

    @classmethod
    def named(cls, name: str) -> "Table":
        """Return the table of a name, with or without a schema. Raises ValueError."""
        parts = _PARTS.fullmatch(name)
        if parts is None or "\0" in name or any(map(_too_long, parts.groups(""))):
            raise ValueError("table_name is no name of a table")
        schema, table = parts.groups("")
        return cls(
            f"{_quoted(schema)}." if schema else "",
            _quoted(table),
            {f"{index}_index": _quoted(_cut(table, f"_{index}_idx")) for index in _INDEXES},
        )

    @property
    def full_name(self) -> str:
        """What stands after FROM."""
        return self.schema + self.name

    def fill(self, sql: str) -> str:
        """Put the names into a statement."""
        return sql.format(table=self.full_name, **self.indexes)

    async def make(
        self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", sql: dict[str, str]
    ) -> None:
        """Make table, columns and indexes as far as they are missing; safe in several replicas."""
        if await self._is_made(connection, sql):
            return
        async with connection.transaction():
            await connection.execute(sql["lock"], f"vconflow {self.full_name}")
            if not await self._is_made(connection, sql):
                await connection.execute(sql["make"])
                if await connection.fetchval(sql["has_lz4"]):
                    await connection.execute(sql["compress"])

    async def _is_made(
        self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", sql: dict[str, str]
    ) -> bool:
        indexes = [self.schema + name for name in self.indexes.values()]
        return bool(await connection.fetchval(sql["is_made"], self.full_name, indexes))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _too_long(name: str) -> bool:
    return len(name.encode()) > _IDENTIFIER_BYTES


def _cut(name: str, ending: str) -> str:
    """Shorten a name so that the ending, which tells indexes apart, still fits."""
    return name.encode()[: _IDENTIFIER_BYTES - len(ending)].decode(errors="ignore") + ending
