"""The server of the tests about dead letters, and what came out of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from cli_process import Process, vconflow

TOKEN = "wordofpass"
CONFIG = """
links:
  first: {module: links.tag, options: {tags: [first]}}
  second: {module: links.tag, options: {tags: [second]}}
  slow: {module: links.delay, options: {seconds: 3600}}
chains:
  main: {links: [first, second], ingress_lists: [in, "also/in"], egress_lists: [out]}
  waiting: {links: [slow], ingress_lists: [waiting], concurrency: 1}
"""


@contextmanager
def served(folder: Path, redis_url: str) -> Iterator[Process]:
    """A server of that configuration, ready; in the end it waits a second for its slow link."""
    (folder / "config.yml").write_text(CONFIG)
    env = {"REDIS_URL": redis_url, "CONSERVER_API_TOKEN": TOKEN, "VCONFLOW_GRACE_SECONDS": "1"}
    with vconflow(folder, "serve", "--port", "0", env=env) as process:
        process.url()
        yield process


def egress(url: str, count: int) -> list[str]:
    """Pop so many uuids from the chain's egress list."""
    popped: list[str] = []
    headers = {"x-conserver-api-token": TOKEN}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        while len(popped) < count:
            query = {"egress_list": "out", "limit": 1000}
            popped += client.get("/vcon/egress", params=query).json()
    return popped
