"""Redis or Valkey: documents, lists, leases and dead letters, each change one Lua script."""

from vconflow.adapters.redis.bare import import_bare

import_bare()
