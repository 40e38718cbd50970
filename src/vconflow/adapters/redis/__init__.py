"""Redis or Valkey: documents, lists, leases and dead letters, each change one Lua script."""
