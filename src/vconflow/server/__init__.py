"""The process: an HTTP server in front of the application, from ready to drained."""

from vconflow.server.process import Running, serve

__all__ = ["Running", "serve"]
