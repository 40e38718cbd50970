"""Every event once or more, in tables by the modules of `vconflow.telemetry.events`."""

from occurrences import (
    breakers,
    chains,
    configuration,
    failures,
    followers,
    http,
    modules,
    ownership,
    process,
    providers,
    redis,
    replicas,
    spans,
    vcons,
)
from occurrences.occurrence import UUID, Occurrence

__all__ = ["OCCURRENCES", "TABLES", "UUID", "Occurrence"]

TABLES = (
    breakers,
    chains,
    configuration,
    failures,
    followers,
    http,
    modules,
    ownership,
    process,
    providers,
    redis,
    replicas,
    spans,
    vcons,
)
OCCURRENCES = [occurrence for table in TABLES for occurrence in table.OCCURRENCES]
