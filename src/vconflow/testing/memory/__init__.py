"""Every port that Redis implements, in memory: for tests, and to read what the ports mean.

A `MemoryServer` stands for the server; each `replica` of it is one process's view. Nothing in here
awaits between looking and writing, which is what makes every operation atomic, as the scripts of
the real one are.
"""

from vconflow.testing.memory.backend import MemoryBackend, MemoryServer
from vconflow.testing.memory.clock import ManualClock

__all__ = ["ManualClock", "MemoryBackend", "MemoryServer"]
