"""From the settings to what each part is opened with."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from vconflow.adapters.providers import Environment, Prices, ProviderOptions
from vconflow.adapters.redis.backend import RedisBackend, RedisOptions
from vconflow.errors import ConfigError, Problem
from vconflow.pipeline.replica import Policy, Ports
from vconflow.ports.clock import Clock
from vconflow.ports.providers import Account
from vconflow.settings import Settings
from vconflow.telemetry.audit import AuditLog, Level, open_audit

__all__ = [
    "open_audit_log",
    "policy_of",
    "ports_of",
    "prices_of",
    "provider_options",
    "redis_options",
]


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


def provider_options(settings: Settings) -> ProviderOptions:
    """The accounts that the environment names, and the limits of those that name none."""
    language = Account(
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url,
        organization=settings.openai_org_id,
        project=settings.openai_project_id,
        azure_endpoint=settings.azure_openai_endpoint,
        azure_api_key=settings.azure_openai_api_key,
        azure_api_version=settings.azure_openai_api_version,
        litellm_proxy_url=settings.litellm_proxy_url,
        litellm_master_key=settings.litellm_master_key,
    )
    keys = {
        "deepgram": settings.deepgram_key,
        "groq": settings.groq_api_key,
        "hugging_face": settings.huggingface_api_key,
    }
    given = {vendor: key for vendor, key in keys.items() if key is not None}
    return ProviderOptions(
        environment=Environment(language, given),
        concurrency=settings.vconflow_provider_concurrency,
        timeout=settings.vconflow_provider_timeout,
    )


def prices_of(settings: Settings) -> Prices:
    """The prices of calls to providers. Raises ConfigError for a file that holds none."""
    file = settings.vconflow_prices_file
    return Prices.read(file) if file else Prices()


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
