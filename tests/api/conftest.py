"""An application over in-memory doubles, in this process."""

from collections.abc import AsyncIterator

import httpx
import pytest
from api_doubles import KEY, World

from vconflow.api import build_asgi


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the right key, over the ASGI interface."""
    transport = httpx.ASGITransport(build_asgi(world.services()), raise_app_exceptions=True)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=KEY
    ) as client:
        yield client
