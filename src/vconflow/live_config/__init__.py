"""The configuration while the process runs: from the file, over HTTP, from other replicas."""

from vconflow.live_config.file import ConfigFile
from vconflow.live_config.live import Applier, LiveConfig
from vconflow.live_config.watching import Watch, watching

__all__ = ["Applier", "ConfigFile", "LiveConfig", "Watch", "watching"]
