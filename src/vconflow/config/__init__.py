"""The configuration file: read, checked as a whole, typed, and shown without its secrets.

In reading order: `yaml_source` (text to values), `expansion` (`${NAME}`), `components`, `chains`
and `partners` (the sections), `loading` (all of it), `masking` (for GET /config).
"""

from vconflow.config.loading import Report, build, check, load, parse
from vconflow.config.masking import mask
from vconflow.config.types import (
    BatchConfig,
    ChainConfig,
    Config,
    FollowerConfig,
    ImportConfig,
    LinkConfig,
    RetryConfig,
    StorageConfig,
    TracerConfig,
)

__all__ = [
    "BatchConfig",
    "ChainConfig",
    "Config",
    "FollowerConfig",
    "ImportConfig",
    "LinkConfig",
    "Report",
    "RetryConfig",
    "StorageConfig",
    "TracerConfig",
    "build",
    "check",
    "load",
    "mask",
    "parse",
]
