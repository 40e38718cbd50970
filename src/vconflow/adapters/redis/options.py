"""How Redis is used."""

import msgspec

__all__ = ["RedisOptions"]


class RedisOptions(msgspec.Struct, frozen=True):
    """How vconflow uses Redis. Times are in seconds; 0 means never for the expiries
    of documents and index, and no history for its own.

    `replica` is the wanted consumer name; `durability` is empty, `everysec`, `fsync` or
    `replicated`. `shards` is None for what fits the address: one on a server, some on a cluster.
    """

    replica: str = "vconflow"
    lease: float = 30.0
    egress_lease: float = 60.0
    document_ttl: int = 3600
    index_expiry: int = 86400
    history_expiry: int = 86400
    created_name: str = "vcons"
    durability: str = ""
    shards: int | None = None

    @property
    def expiries(self) -> dict[str, int]:
        """Those of documents and index."""
        return {"index_expiry": self.index_expiry, "document_ttl": self.document_ttl}
