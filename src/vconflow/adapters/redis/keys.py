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

    @property
    def ready(self) -> str:
        """Set of the keys of lists that may have entries which no chain has read yet."""
        return f"{self.tag}vconflow:ready"

    @property
    def bell(self) -> str:
        """Stream that gets an entry whenever a list becomes ready: who waits looks again."""
        return f"{self.tag}vconflow:bell"

    def leases(self, list_name: str) -> str:
        """Sorted set of the entries of an egress list that are lent, by the end of their lease."""
        return f"{self.tag}vconflow:leases:{list_name}"

    def dead(self, list_name: str) -> str:
        return f"{self.tag}vconflow:dead:{list_name}"

    def run(self, list_name: str, entry: str) -> str:
        return f"{self.tag}vconflow:run:{list_name}:{entry}"

    def batch(self, batch_id: str) -> str:
        return f"{self.tag}vconflow:batch:{batch_id}"

    def history(self, uuid: str) -> str:
        return f"{self.tag}vconflow:history:{uuid}"

    def idempotency(self, name: str) -> str:
        return f"{self.tag}vconflow:idempotency:{name}"

    @property
    def events(self) -> str:
        """The channel of what happens to vCons; see `history.parse_event`."""
        return f"{self.tag}vconflow:events"

    @property
    def partners(self) -> str:
        """Hash of the vCons that partners own, by uuid; it outlives their meta hashes."""
        return f"{self.tag}vconflow:partners"

    @property
    def expiring(self) -> str:
        """Sorted set of uuids whose last copy expires from Redis, by Unix milliseconds."""
        return f"{self.tag}vconflow:expiring"

    @property
    def config(self) -> str:
        """The serial of the current version of the configuration."""
        return f"{self.tag}vconflow:config"

    @property
    def config_versions(self) -> str:
        """Hash: what is known of each version of the configuration, by serial."""
        return f"{self.tag}vconflow:config:versions"

    @property
    def config_documents(self) -> str:
        """Hash: the document of each version of the configuration, by serial."""
        return f"{self.tag}vconflow:config:documents"

    @property
    def config_channel(self) -> str:
        """The channel on which the serial of a new version is announced."""
        return f"{self.tag}vconflow:config:news"

    def aside(self, key: str) -> str:
        """Where a search index of a conserver's making waits for `vconflow migrate`.

        `key` has the tag of its shard, and a tag counts wherever it stands.
        """
        return f"vconflow:aside:{key}"

    def refused(self, key: str) -> str:
        """Where a migration keeps what it could not take over from `key`."""
        return f"vconflow:refused:{key}"

    @property
    def paused(self) -> str:
        """Set of the names of paused chains; a channel of the same name announces changes."""
        return f"{self.tag}vconflow:paused"

    @property
    def shards(self) -> str:
        """How many shards the data was divided into, if it was; it stands in the first one."""
        return f"{self.tag}vconflow:shards"

    def elsewhere(self, list_name: str, entry: str) -> str:
        """Marks what an entry of another shard has done here at its end."""
        return f"{self.tag}vconflow:elsewhere:{list_name}:{entry}"

    @property
    def probe(self) -> str:
        """Written now and then to see whether the server takes writes."""
        return f"{self.tag}vconflow:probe"

    def consumer(self, name: str) -> str:
        return f"{self.tag}vconflow:consumer:{name}"

    def follow(self, name: str) -> str:
        """Sorted set of ids that a follower has pulled and not stored yet, by due time."""
        return f"{self.tag}vconflow:follow:{name}"

    def follow_parked(self, name: str) -> str:
        return f"{self.tag}vconflow:parked:{name}"

    def follow_holder(self, name: str) -> str:
        return f"{self.tag}vconflow:follower:{name}"
