"""From the settings to what each part is opened with."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions
from vconflow.errors import ConfigError, Problem
from vconflow.pipeline.replica import Policy, Ports
from vconflow.ports.clock import Clock
from vconflow.settings import Settings
from vconflow.telemetry.audit import AuditLog, Level, open_audit

__all__ = ["open_audit_log", "policy_of", "ports_of", "redis_options"]


@asynccontextmanager
async def open_audit_log(settings: Settings) -> AsyncIterator[AuditLog]:
    """The audit log. Raises ConfigError for a file that cannot be written."""
    async with AsyncExitStack() as stack:
        path, level = settings.vconflow_audit_log, Level[settings.audit_level.upper()]
        try:
            log = await stack.enter_async_context(open_audit(level, path))
        except OSError as error:
            message = f"{path} cannot be opened: {error.strerror}"
            problem = Problem(("VCONFLOW_AUDIT_LOG",), message, "unwritable")
            raise ConfigError([problem]) from error
        yield log


def redis_options(settings: Settings) -> RedisOptions:
    """How Redis is used."""
    return RedisOptions(
        replica=settings.vconflow_replica,
        lease=settings.vconflow_lease_seconds,
        egress_lease=settings.vconflow_egress_lease_seconds,
        document_ttl=settings.vcon_redis_expiry,
        index_expiry=settings.vcon_index_expiry,
        history_expiry=settings.vconflow_history_expiry,
        created_name=settings.vcon_sorted_set_name,
        durability=settings.vconflow_durability,
        shards=settings.vconflow_shards,
    )


def ports_of(backend: RedisBackend, clock: Clock) -> Ports:
    """What the pipeline needs of Redis."""
    return Ports(
        intake=backend.intake,
        documents=backend.documents,
        ledger=backend.ledger,
        stream=backend.stream,
        dead_letters=backend.dead_letters,
        sweeper=backend.documents,
        clock=clock,
        switch=backend.switch,
    )


def policy_of(settings: Settings) -> Policy:
    """The limits of the pipeline."""
    return Policy(
        max_inflight=settings.vconflow_max_inflight,
        max_waiting=settings.vconflow_max_waiting,
        longest_probe=settings.vconflow_probe_seconds,
        lease=settings.vconflow_lease_seconds,
        grace=settings.vconflow_grace_seconds,
        poison_crashes=settings.vconflow_poison_crashes,
        dead_expiry=settings.vcon_dlq_expiry,
        read_storages=settings.vcon_storage_fallback_enabled,
    )
