"""Real servers for tests: start them, kill them, freeze them, start them again on their data."""

from vconflow.testing.servers.mongo_server import MongoServer, mongo
from vconflow.testing.servers.postgres_server import PostgresServer, postgres
from vconflow.testing.servers.process import Server, free_port, limit_files
from vconflow.testing.servers.redis_cluster import RedisCluster, redis_cluster
from vconflow.testing.servers.redis_servers import RedisServer, redis_server, valkey

__all__ = [
    "MongoServer",
    "PostgresServer",
    "RedisCluster",
    "RedisServer",
    "Server",
    "free_port",
    "limit_files",
    "mongo",
    "postgres",
    "redis_cluster",
    "redis_server",
    "valkey",
]
