"""The HTTP API: one ASGI application over the services of the process."""

from vconflow.api.asgi import build_asgi
from vconflow.api.services import Build, ChainInfo, Dependency, Services, Topology

__all__ = ["Build", "ChainInfo", "Dependency", "Services", "Topology", "build_asgi"]
