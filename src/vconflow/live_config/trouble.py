"""What is wrong with a configuration that is not in force."""

from vconflow.telemetry import events

__all__ = ["Troubles"]


class Troubles:
    """At most one trouble for each of `file` and `store`, in words that name no secret."""

    def __init__(self) -> None:
        self._by_origin: dict[str, str] = {}

    def begin(self, origin: str, words: str) -> None:
        """Note the trouble of an origin in place of what was known of it."""
        self._by_origin[origin] = words
        events.config_trouble(is_there=True)

    def end(self, origin: str) -> None:
        """Forget the trouble of an origin."""
        self._by_origin.pop(origin, None)
        events.config_trouble(is_there=bool(self._by_origin))

    def __str__(self) -> str:
        return "; ".join(self._by_origin.values())
