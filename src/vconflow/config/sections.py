"""The sections of the configuration file."""

from typing import Final

__all__ = ["SECTIONS"]

SECTIONS: Final = (
    "imports",
    "links",
    "storages",
    "tracers",
    "chains",
    "api_keys",
    "ingress_auth",
    "followers",
)
