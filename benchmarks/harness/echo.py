"""The limit of everything over HTTP: a bare Starlette that answers with the body it was sent."""

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def make_app(folder: Path | None = None) -> Starlette:
    """POST /vcon echoes; GET /vcon/{uuid} answers with the body that was posted last.

    With a folder it answers with the file of that uuid below it.
    """
    last = b""
    files = {path.stem: path for path in folder.rglob("*.json")} if folder else {}

    async def create(request: Request) -> Response:
        nonlocal last
        last = await request.body()
        return Response(last, 201, media_type="application/json")

    async def read(_: Request) -> Response:
        return Response(last, media_type="application/json")

    async def read_file(request: Request) -> Response:
        content = await asyncio.to_thread(files[request.path_params["uuid"]].read_bytes)
        return Response(content, media_type="application/json")

    stored = Route("/vcon/{uuid}", read_file if folder else read)
    return Starlette(routes=[Route("/vcon", create, methods=["POST"]), stored])


def main() -> None:
    """Serve on a free port of loopback, and say which; an argument is the folder of files."""
    config = uvicorn.Config(
        make_app(*map(Path, sys.argv[1:])),
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
