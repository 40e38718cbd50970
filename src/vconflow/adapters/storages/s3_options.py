"""Options of the storage `s3`."""

from typing import Annotated, Final

from msgspec import Meta

from vconflow.ports.objects import MULTIPART_FROM, AccountOptions

__all__ = ["S3Options"]

_LEAST_PART: Final = 5 * 1024 * 1024


class S3Options(AccountOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `s3`."""

    aws_bucket: Annotated[str, Meta(min_length=1, description="The bucket, which has to exist.")]
    s3_path: Annotated[str | None, Meta(description="What all keys begin with, before a `/`.")] = (
        None
    )
    concurrency: Annotated[
        int, Meta(ge=1, le=64, description="How many vCons of a batch are written at a time.")
    ] = 32
    multipart_threshold: Annotated[
        int,
        Meta(ge=_LEAST_PART, description="vCons of so many bytes are sent in parts of 8 MiB."),
    ] = MULTIPART_FROM
