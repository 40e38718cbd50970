"""Must not be imported by any test."""

from vconflow.links.tag import TagLink as Link

__all__ = ["Link"]
