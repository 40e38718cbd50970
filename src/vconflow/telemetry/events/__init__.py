"""What happens in vconflow, one function per occurrence: its log line and its metric together.

Called from the event loop. Whatever happens to every vCon is a DEBUG line; text that can name a
person or a credential is nobody's business: errors are given by type and message, cut short.
"""

from vconflow.telemetry.events.breakers import (
    breaker_changed,
    breaker_closed,
    breaker_gone,
    breaker_opened,
)
from vconflow.telemetry.events.chains import (
    chain_full,
    chain_gone,
    chain_held,
    chain_measured,
    chain_paused,
    list_gone,
    list_measured,
    list_reader_changed,
)
from vconflow.telemetry.events.configuration import (
    config_applied,
    config_refused,
    config_trouble,
    config_unwatched,
)
from vconflow.telemetry.events.failures import (
    FailedEntry,
    dead_lettered,
    dead_letters_moved,
    document_missing,
    parked,
    retry_scheduled,
)
from vconflow.telemetry.events.followers import (
    follower_back,
    follower_failed,
    follower_measured,
    follower_parked,
    follower_pulled,
    follower_started,
    follower_stopped,
    follower_succeeded,
    follower_unwritten,
)
from vconflow.telemetry.events.http import (
    audit_lost,
    auth_off,
    certificate_loaded,
    connection_refused,
    http_done,
)
from vconflow.telemetry.events.ownership import (
    lease_lost,
    recovered,
    took_over,
)
from vconflow.telemetry.events.process import (
    conserver_data_found,
    drain_ended,
    drain_started,
    loop_lag,
    package_installed,
    unhandled,
)
from vconflow.telemetry.events.providers import provider_called, provider_used
from vconflow.telemetry.events.redis import (
    event_feed_lost,
    redis_back,
    redis_done,
    redis_lost,
    valkey_back,
    valkey_ended,
)
from vconflow.telemetry.events.replicas import (
    replica_ended,
    replica_leaving,
    replica_left,
    replica_metrics_missing,
    replica_ready,
    replicas_counted,
    replicas_resized,
)
from vconflow.telemetry.events.vcons import (
    accepted,
    enqueue_skipped,
    entry_done,
    link_done,
    partner_accepted,
    storage_conflict_restored,
    storage_done,
)

__all__ = [
    "FailedEntry",
    "accepted",
    "audit_lost",
    "auth_off",
    "breaker_changed",
    "breaker_closed",
    "breaker_gone",
    "breaker_opened",
    "certificate_loaded",
    "chain_full",
    "chain_gone",
    "chain_held",
    "chain_measured",
    "chain_paused",
    "config_applied",
    "config_refused",
    "config_trouble",
    "config_unwatched",
    "connection_refused",
    "conserver_data_found",
    "dead_lettered",
    "dead_letters_moved",
    "document_missing",
    "drain_ended",
    "drain_started",
    "enqueue_skipped",
    "entry_done",
    "event_feed_lost",
    "follower_back",
    "follower_failed",
    "follower_measured",
    "follower_parked",
    "follower_pulled",
    "follower_started",
    "follower_stopped",
    "follower_succeeded",
    "follower_unwritten",
    "http_done",
    "lease_lost",
    "link_done",
    "list_gone",
    "list_measured",
    "list_reader_changed",
    "loop_lag",
    "package_installed",
    "parked",
    "partner_accepted",
    "provider_called",
    "provider_used",
    "recovered",
    "redis_back",
    "redis_done",
    "redis_lost",
    "replica_ended",
    "replica_leaving",
    "replica_left",
    "replica_metrics_missing",
    "replica_ready",
    "replicas_counted",
    "replicas_resized",
    "retry_scheduled",
    "storage_conflict_restored",
    "storage_done",
    "took_over",
    "unhandled",
    "valkey_back",
    "valkey_ended",
]
