"""Real servers for tests: start them, kill them, freeze them, start them again on their data."""

from vconflow.testing.servers.milvus_server import MilvusServer, milvus
from vconflow.testing.servers.mongo_server import MongoServer, mongo
from vconflow.testing.servers.postgres_server import PostgresServer, postgres
from vconflow.testing.servers.process import Server, free_port, limit_files
from vconflow.testing.servers.redis_cluster import RedisCluster, redis_cluster
from vconflow.testing.servers.redis_servers import RedisServer, redis_server, valkey
from vconflow.testing.servers.s3_server import S3Server, s3

__all__ = [
    "MilvusServer",
    "MongoServer",
    "PostgresServer",
    "RedisCluster",
    "RedisServer",
    "S3Server",
    "Server",
    "free_port",
    "limit_files",
    "milvus",
    "mongo",
    "postgres",
    "redis_cluster",
    "redis_server",
    "s3",
    "valkey",
]
