"""vconflow carries conversations (vCons) through chains of links and loses none."""

__all__ = ["__version__"]

__version__ = "0.1.0"
