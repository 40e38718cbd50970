"""The configuration file: read, checked as a whole, typed, and shown without its secrets.

In reading order: `yaml_source` (text to values), `expansion` (`${NAME}`), `components`, `chains`
and `partners` (the sections), `trust` (what may come over HTTP), `loading` (all of it), `masking`
(for GET /config) and `unmasking` (for POST /config).
"""

from vconflow.config.loading import Report, build, check, load, parse
from vconflow.config.masking import OptionsOf, mask, mask_document
from vconflow.config.trust import Allowances
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
from vconflow.config.unmasking import unmask

__all__ = [
    "Allowances",
    "BatchConfig",
    "ChainConfig",
    "Config",
    "FollowerConfig",
    "ImportConfig",
    "LinkConfig",
    "OptionsOf",
    "Report",
    "RetryConfig",
    "StorageConfig",
    "TracerConfig",
    "build",
    "check",
    "load",
    "mask",
    "mask_document",
    "parse",
    "unmask",
]
