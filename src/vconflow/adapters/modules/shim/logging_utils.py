"""`lib.logging_utils`: the log of this process."""

import logging

__all__ = ["init_logger"]


def init_logger(name: str) -> logging.Logger:
    """A logger whose lines say chain, list and uuid as those of vconflow do."""
    return logging.getLogger(name)
