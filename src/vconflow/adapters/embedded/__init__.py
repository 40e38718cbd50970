"""A private, durable Valkey in a data folder, for those who have no Redis to point at.

The server answers only on a unix socket, is started again when it ends, dies with the process
that started it, and a lock keeps a second vconflow off the same folder.
"""

from vconflow.adapters.embedded.process import is_answering
from vconflow.adapters.embedded.program import find_server
from vconflow.adapters.embedded.valkey import EmbeddedValkey, embedded_valkey

__all__ = ["EmbeddedValkey", "embedded_valkey", "find_server", "is_answering"]
