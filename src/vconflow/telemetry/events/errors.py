"""How an error is told in a log line."""

__all__ = ["LONGEST_ERROR", "told"]

LONGEST_ERROR = 500
"""Characters of an error's message in a log line."""


def told(error: BaseException) -> dict[str, str]:
    """An error by type and message, cut short."""
    return {"error_type": type(error).__name__, "error": str(error)[:LONGEST_ERROR]}
