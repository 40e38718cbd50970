"""The limit of everything over HTTP: a bare Starlette that answers with the body it was sent."""

import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def make_app() -> Starlette:
    """POST /vcon echoes; GET /vcon/{uuid} answers with the body that was posted last."""
    last = b""

    async def create(request: Request) -> Response:
        nonlocal last
        last = await request.body()
        return Response(last, 201, media_type="application/json")

    async def read(_: Request) -> Response:
        return Response(last, media_type="application/json")

    routes = [Route("/vcon", create, methods=["POST"]), Route("/vcon/{uuid}", read)]
    return Starlette(routes=routes)


def main() -> None:
    """Serve on a free port of loopback, and say which."""
    config = uvicorn.Config(
        make_app(),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        print(f"echo ready on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
