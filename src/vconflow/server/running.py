"""What is told of a server that is ready."""

from dataclasses import dataclass

__all__ = ["Running"]


@dataclass(frozen=True)
class Running:
    """What is running, for people: `url` of the API, `redis` in words."""

    url: str
    redis: str
