"""Every Redis key of vconflow, in one place."""

from collections.abc import Iterable
from dataclasses import dataclass

from vconflow.model.validation import Facts

__all__ = ["GROUP", "Keys"]

GROUP = "vconflow"
"""The one consumer group of every list."""


@dataclass(frozen=True)
class Keys:
    """Names the keys of one shard.

    `tag` is empty for a single Redis; `{s3}` keeps all keys of a shard in one slot of a cluster.
    `created` is the sorted set of all uuids (`VCON_SORTED_SET_NAME`).
    """

    created_name: str = "vcons"
    tag: str = ""

    def document(self, uuid: str) -> str:
        return f"{self.tag}vcon:{uuid}"

    def meta(self, uuid: str) -> str:
        return f"{self.tag}vconflow:vcon:{uuid}"

    @property
    def created(self) -> str:
        return f"{self.tag}{self.created_name}"

    def tel(self, number: str) -> str:
        return f"{self.tag}tel:{number}"

    def mailto(self, address: str) -> str:
        return f"{self.tag}mailto:{address}"

    def name(self, name: str) -> str:
        return f"{self.tag}name:{name}"

    def index(self, facts: Facts) -> list[str]:
        """The index keys a document belongs to."""
        return [
            *map(self.tel, facts.tels),
            *map(self.mailto, facts.mailtos),
            *map(self.name, facts.names),
        ]

    def list(self, name: str) -> str:
        return f"{self.tag}vconflow:list:{name}"

    def lists(self, names: Iterable[str]) -> dict[str, str]:
        """Stream key → list name."""
        return {self.list(name): name for name in names}

    def dead(self, list_name: str) -> str:
        return f"{self.tag}vconflow:dead:{list_name}"

    def run(self, list_name: str, entry: str) -> str:
        return f"{self.tag}vconflow:run:{list_name}:{entry}"

    def batch(self, batch_id: str) -> str:
        return f"{self.tag}vconflow:batch:{batch_id}"

    @property
    def expiring(self) -> str:
        """Sorted set of uuids whose last copy expires from Redis, by Unix milliseconds."""
        return f"{self.tag}vconflow:expiring"

    @property
    def probe(self) -> str:
        """Written now and then to see whether the server takes writes."""
        return f"{self.tag}vconflow:probe"

    def consumer(self, name: str) -> str:
        return f"{self.tag}vconflow:consumer:{name}"
