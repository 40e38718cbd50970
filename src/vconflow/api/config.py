"""/config: the configuration that is in force."""

from starlette.types import ASGIApp

from vconflow.api.call import Call
from vconflow.api.codec import json_response

__all__ = ["read"]


async def read(call: Call) -> ASGIApp:
    """Return the configuration with every secret masked."""
    return json_response(call.services.masked_config())
