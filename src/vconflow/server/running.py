"""What is told of a server that is ready."""

from dataclasses import dataclass

from vconflow.config import Config

__all__ = ["Running"]


@dataclass(frozen=True)
class Running:
    """What is running, for people: `url` of the API, `redis` in words, chains that are held."""

    url: str
    redis: str
    config: Config
    held: list[str]
