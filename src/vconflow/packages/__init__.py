"""Packages of third parties: which the configuration names, and how they are installed."""

from vconflow.packages.declared import Package, missing, read_packages
from vconflow.packages.installing import Lock, install, read_lock, resolve, write_lock

__all__ = [
    "Lock",
    "Package",
    "install",
    "missing",
    "read_lock",
    "read_packages",
    "resolve",
    "write_lock",
]
