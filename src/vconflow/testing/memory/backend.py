"""All ports of a replica, opened together."""

from dataclasses import dataclass

from vconflow.adapters.clock import SystemClock
from vconflow.ports.clock import Clock
from vconflow.testing.memory.dead_letters import MemoryDeadLetters
from vconflow.testing.memory.documents import MemoryDocuments
from vconflow.testing.memory.egress import MemoryEgress
from vconflow.testing.memory.history import Journal, MemoryHistory
from vconflow.testing.memory.intake import MemoryIntake
from vconflow.testing.memory.ledger import MemoryLedger
from vconflow.testing.memory.names import HeldName
from vconflow.testing.memory.store import Store
from vconflow.testing.memory.stream import MemoryStream
from vconflow.testing.memory.vcons import Expiries

__all__ = ["MemoryBackend", "MemoryServer"]


@dataclass(frozen=True)
class MemoryBackend:
    """One replica's ports on a `MemoryServer`."""

    name: HeldName
    intake: MemoryIntake
    documents: MemoryDocuments
    ledger: MemoryLedger
    stream: MemoryStream
    egress: MemoryEgress
    dead_letters: MemoryDeadLetters
    history: MemoryHistory

    def close(self) -> None:
        """Let the consumer name go. A replica that crashes does not: then it ends by itself."""
        self.name.release()


class MemoryServer:
    """What replicas share. Set `store.fail_with` to make it unreachable."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.store = Store(clock or SystemClock())

    def replica(
        self,
        name: str = "vconflow",
        *,
        lease: float = 30.0,
        egress_lease: float = 60.0,
        document_ttl: int = 3600,
        index_expiry: int = 86400,
        history_expiry: int = 86400,
    ) -> MemoryBackend:
        """Open a replica's view. Times are in seconds; 0 means never for the last three."""
        store, lease_ms = self.store, int(lease * 1000)
        expiries = Expiries(document_ttl * 1000, index_expiry * 1000)
        held = HeldName(store, name, lease_ms)
        journal = Journal(store, held.name, history_expiry * 1000)
        return MemoryBackend(
            name=held,
            intake=MemoryIntake(store, journal, expiries),
            documents=MemoryDocuments(store, journal, expiries),
            ledger=MemoryLedger(store, held, journal, expiries),
            stream=MemoryStream(store, held, lease_ms),
            egress=MemoryEgress(store, journal, expiries, int(egress_lease * 1000)),
            dead_letters=MemoryDeadLetters(store, journal, expiries),
            history=MemoryHistory(store),
        )
