"""`lib.error_tracking`: errors are logged and counted by vconflow."""

__all__ = ["init_error_tracker"]


def init_error_tracker() -> None:
    """Nothing to do."""
