"""Buckets of S3 and of what speaks its protocol. The driver is imported with the first one."""

from vconflow.adapters.objects.accounts import S3Objects

__all__ = ["S3Objects"]
